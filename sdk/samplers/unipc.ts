import { defineSampler } from './define.ts';
import { scheduleDefaults } from './noise-schedule.ts';
import type { Schedule, StepOptions, StepResult } from './sampler.ts';
import { sigmaDefaults } from './sigmas.ts';
import { SolverSampler } from './solver.ts';
import { solveLinear } from './solve-linear.ts';
import { difference, divided, f, scaled, sum, weightedSum } from './tensor.ts';
import { thresholdDefaults } from './threshold.ts';

const defaults = {
  ...scheduleDefaults,
  ...thresholdDefaults,
  ...sigmaDefaults,
  timestep_spacing: 'linspace',
  solver_order: 2,
  predict_x0: true,
  solver_type: 'bh2',
  lower_order_final: true,
  disable_corrector: [] as readonly number[],
  final_sigmas_type: 'zero',
  rescale_betas_zero_snr: false,
  sigma_min: null as number | null,
  sigma_max: null as number | null,
};

export const unipc = defineSampler({
  className: 'UniPCMultistepScheduler',
  names: { UniPC: {} },
  defaults,
  choices: { solver_type: ['bh1', 'bh2'] },
  translate: { solver_type: { midpoint: 'bh2', heun: 'bh2', logrho: 'bh2' } },
  takes: ['sigmas'],
  create: (config, schedule) => new UniPC(config, schedule),
});

/**
 * Zhao et al., "UniPC": a predictor of any order, whose sample the next evaluation corrects before
 * predicting on.
 */
class UniPC extends SolverSampler<typeof defaults> {
  /** Where the last prediction started, and its order. */
  #last: { sample: Float32Array; order: number } | undefined;

  constructor(config: typeof defaults, schedule: Schedule) {
    const toMin = config.final_sigmas_type === 'sigma_min';
    super(config, schedule, {
      finals: { ruled: toMin ? 'path' : 'zero', plain: toMin ? 'table' : 'zero' },
    });
  }

  protected take(
    index: number,
    modelOutput: Float32Array,
    sample: Float32Array,
    options: StepOptions,
  ): StepResult {
    const { lower_order_final, disable_corrector, predict_x0 } = this.config;
    const point = this.points[index];
    const denoised = this.originalOf(modelOutput, sample, point, options);
    const output = predict_x0 ? denoised : this.noiseOf(modelOutput, sample, point);
    if (this.#last && index > 0 && !disable_corrector.includes(index - 1)) {
      sample = this.#correct(index, output, this.#last);
    }
    this.remember(output);
    const left = lower_order_final ? this.timesteps.length - index : Infinity;
    const order = Math.min(this.outputs.length, left);
    this.#last = { sample, order };
    return { prev: this.#predict(index, sample, order), denoised };
  }

  /** UniP: from `points[index]` to the next. */
  #predict(index: number, sample: Float32Array, order: number): Float32Array {
    const system = this.#system(index, order);
    const { rows, right, slopes } = system;
    const weights =
      order === 2
        ? [0.5]
        : solveLinear(
            rows.slice(0, -1).map((row) => row.slice(0, -1)),
            right.slice(0, -1),
          );
    return this.#update(index, sample, system, combined(slopes, weights));
  }

  /** UniC: the last step again, now that the output at its end is known. */
  #correct(
    index: number,
    output: Float32Array,
    { sample, order }: { sample: Float32Array; order: number },
  ): Float32Array {
    const system = this.#system(index - 1, order);
    const { rows, right, slopes } = system;
    const weights = order === 1 ? [0.5] : solveLinear(rows, right);
    const atEnd = difference(output, this.outputs[0]);
    const past = combined(slopes, weights);
    const last = scaled(atEnd, weights[order - 1]);
    return this.#update(index - 1, sample, system, past ? sum(past, last) : last);
  }

  /**
   * The step from `points[start]` to the next: the weights of its parts, and the linear system whose
   * solution weighs the divided differences of the past outputs (the paper's equation 11).
   */
  #system(start: number, order: number) {
    const [from, to] = [this.points[start], this.points[start + 1]];
    const h = f(to.lambda - from.lambda);
    const ratios: number[] = [];
    const slopes: Float32Array[] = [];
    for (let i = 1; i < order; i++) {
      const ratio = f(f(this.points[start - i].lambda - from.lambda) / h);
      ratios.push(ratio);
      slopes.push(divided(difference(this.outputs[i], this.outputs[0]), ratio));
    }
    ratios.push(1);

    const signed = this.config.predict_x0 ? -h : h;
    const phi1 = f(Math.expm1(signed));
    const b = this.config.solver_type === 'bh1' ? signed : phi1;
    const rows: number[][] = [];
    const right: number[] = [];
    let phi = f(f(phi1 / signed) - 1);
    let factorial = 1;
    for (let i = 1; i <= order; i++) {
      rows.push(ratios.map((ratio) => f(ratio ** (i - 1))));
      right.push(f(f(phi * factorial) / b));
      factorial *= i + 1;
      phi = f(f(phi / signed) - f(1 / factorial));
    }
    return { rows, right, slopes, phi1, b };
  }

  #update(
    start: number,
    sample: Float32Array,
    { phi1, b }: { phi1: number; b: number },
    residual: Float32Array | undefined,
  ): Float32Array {
    const [from, to] = [this.points[start], this.points[start + 1]];
    const { predict_x0 } = this.config;
    const kept = f(predict_x0 ? to.sigma / from.sigma : to.alpha / from.alpha);
    const rate = predict_x0 ? to.alpha : to.sigma;
    const base = weightedSum([kept, sample], [-f(rate * phi1), this.outputs[0]]);
    // At first order diffusers subtracts b·0, which for bh1 and a step to σ = 0 is ∞·0: a NaN picture.
    return residual ? weightedSum([1, base], [-f(rate * b), residual]) : base;
  }
}

/** `Σ weights[k] · tensors[k]`, or undefined for none. */
function combined(
  tensors: readonly Float32Array[],
  weights: readonly number[],
): Float32Array | undefined {
  if (tensors.length === 0) return undefined;
  return tensors.map((tensor, k) => scaled(tensor, weights[k])).reduce(sum);
}
