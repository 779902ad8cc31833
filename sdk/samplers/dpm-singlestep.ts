import { defineSampler } from './define.ts';
import { checkSolver } from './dpm-multistep.ts';
import { dpmUpdate, type Algorithm, type Derivatives } from './dpm-updates.ts';
import { drawNoise } from './noise.ts';
import { betaDefaults } from './noise-schedule.ts';
import { noiseOf } from './prediction.ts';
import type { Schedule, StepOptions, StepResult } from './sampler.ts';
import { sigmaDefaults } from './sigmas.ts';
import { SolverSampler } from './solver.ts';
import { difference, divided, scaled, weightedSum } from './tensor.ts';
import { thresholdDefaults } from './threshold.ts';

const f = Math.fround;

const defaults = {
  ...betaDefaults,
  ...thresholdDefaults,
  ...sigmaDefaults,
  solver_order: 2,
  algorithm_type: 'dpmsolver++',
  solver_type: 'midpoint',
  lower_order_final: false,
  final_sigmas_type: 'zero',
  lambda_min_clipped: -Infinity,
};

export const dpmSinglestep = defineSampler({
  className: 'DPMSolverSinglestepScheduler',
  defaults,
  choices: {
    algorithm_type: ['dpmsolver', 'dpmsolver++', 'sde-dpmsolver++'],
    solver_type: ['midpoint', 'heun'],
  },
  translate: {
    algorithm_type: { deis: 'dpmsolver++' },
    solver_type: { logrho: 'midpoint', bh1: 'midpoint', bh2: 'midpoint' },
  },
  takes: ['timesteps', 'sigmas'],
  create: (config, schedule) => new DPMSinglestep(config, schedule),
});

/**
 * Lu et al., "DPM-Solver": singlestep ("DPM++ 2S"). Evaluations come in groups; each goes on from
 * the group's first sample with one more output, so only the last of a group has the full order.
 */
class DPMSinglestep extends SolverSampler {
  readonly #config: typeof defaults;
  readonly #algorithm: Algorithm;
  /** The order of each evaluation: 1, 2, 3, 1, 2, 3, … */
  readonly #orders: readonly number[];
  /** x0 or ε, newest first. */
  #outputs: Float32Array[] = [];
  #groupStart: Float32Array | undefined;

  constructor(config: typeof defaults, schedule: Schedule) {
    checkSolver(config);
    const final = config.final_sigmas_type === 'sigma_min' ? 'table' : 'zero';
    super(config, schedule, { finals: { ruled: final, plain: final } });
    this.#config = config;
    this.#algorithm = config.algorithm_type as Algorithm;
    this.#orders = orderList(this.timesteps.length, config);
  }

  step(
    modelOutput: Float32Array,
    t: number,
    sample: Float32Array,
    options: StepOptions,
  ): StepResult {
    const index = this.index.at(t);
    const denoised = this.originalAt(index, modelOutput, sample, options);
    const { alpha, sigma } = this.points[index];
    const integrated = this.#algorithm.endsWith('++')
      ? denoised
      : this.#config.thresholding
        ? noiseOf(sample, denoised, alpha, sigma)
        : this.noiseAt(index, modelOutput, sample);
    this.#outputs = [integrated, ...this.#outputs].slice(0, this.#config.solver_order);
    const noise = this.#algorithm.startsWith('sde') ? drawNoise(options) : undefined;

    const order = Math.min(this.#orders[index], this.#outputs.length);
    if (order === 1) this.#groupStart = sample;
    const prev = dpmUpdate(
      this.#algorithm,
      order === 3 ? 'heun' : this.#config.solver_type,
      this.points[index - order + 1],
      this.points[index + 1],
      this.#groupStart ?? sample,
      this.#derivatives(index, order),
      noise,
    );
    this.index.advance();
    return { prev, denoised };
  }

  /** The derivatives by λ at the group's start. */
  #derivatives(index: number, order: number): Derivatives {
    const [m0, m1, m2] = this.#outputs;
    if (order === 1) return { d0: m0 };
    const start = this.points[index - order + 1].lambda;
    const h = f(this.points[index + 1].lambda - start);
    const r0 = f(f(this.points[index].lambda - start) / h);
    if (order === 2) return { d0: m1, d1: scaled(difference(m0, m1), f(1 / r0)) };
    const r1 = f(f(this.points[index - 1].lambda - start) / h);
    const near = scaled(difference(m1, m2), f(1 / r1));
    const far = scaled(difference(m0, m2), f(1 / r0));
    if (this.#config.solver_type === 'midpoint') return { d0: m2, d1: far };
    const apart = f(r0 - r1);
    return {
      d0: m2,
      d1: divided(weightedSum([r0, near], [-r1, far]), apart),
      d2: divided(scaled(difference(far, near), 2), apart),
    };
  }
}

/** The order of each evaluation, so that the run ends on a whole group or at low order. */
function orderList(steps: number, config: typeof defaults): number[] {
  const { solver_order: order, final_sigmas_type } = config;
  const endsAtZero = final_sigmas_type === 'zero';
  // diffusers switches lower_order_final on where the groups would not come out even.
  const lowerFinal = config.lower_order_final || steps % order !== 0 || endsAtZero;
  const orders = Array.from({ length: steps }, (_, i) => (i % order) + 1);
  if (lowerFinal && order > 1 && steps % order === 0) {
    // The last group becomes 1, 2, 1 (or 1, 1).
    orders[steps - 1] = 1;
  }
  if (endsAtZero) orders[steps - 1] = 1;
  return orders;
}
