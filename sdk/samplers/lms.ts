import { defineSampler } from './define.ts';
import { integrateLikeQuad } from './gauss-kronrod.ts';
import { noiseSchedule, scheduleDefaults } from './noise-schedule.ts';
import { predictOriginalK } from './prediction.ts';
import type { Schedule, StepOptions, StepResult } from './sampler.ts';
import { sigmaPath, SigmaSampler } from './sigma-sampler.ts';
import { sigmaDefaults, sigmaTable } from './sigmas.ts';
import { difference, divided, scaled, sum } from './tensor.ts';

const f = Math.fround;

const defaults = { ...scheduleDefaults, ...sigmaDefaults, timestep_spacing: 'linspace' };

export const lms = defineSampler({
  className: 'LMSDiscreteScheduler',
  defaults,
  takes: ['sigmas'],
  stepOptions: ['order'],
  create: (config, schedule) => new LMS(config, schedule),
});

/** k-diffusion's linear multistep: the polynomial through the last derivatives, integrated over σ. */
class LMS extends SigmaSampler {
  readonly #predictionType: string;
  /** Newest first. */
  #derivatives: Float32Array[] = [];

  constructor(config: typeof defaults, schedule: Schedule) {
    const table = sigmaTable(noiseSchedule(config).alphasCumprod);
    const { timesteps, sigmas } = sigmaPath(config, schedule, table);
    super({ timesteps: timesteps.map(f), sigmas }, config.timestep_spacing);
    this.#predictionType = config.prediction_type;
  }

  step(
    modelOutput: Float32Array,
    t: number,
    sample: Float32Array,
    { order = 4 }: StepOptions,
  ): StepResult {
    const index = this.index.at(t);
    const sigma = this.sigmas[index];
    const x0 = predictOriginalK(this.#predictionType, modelOutput, sample, sigma);
    const derivative = divided(difference(sample, x0), sigma);
    this.#derivatives = [derivative, ...this.#derivatives].slice(0, order);

    // A run that starts in the middle has the order of its place, but fewer derivatives to weigh.
    const placeOrder = Math.min(index + 1, order);
    const weighted = this.#derivatives
      .slice(0, placeOrder)
      .map((d, i) => scaled(d, this.#coefficient(index, placeOrder, i)));
    this.index.advance();
    return { prev: sum(sample, weighted.reduce(sum)), denoised: x0 };
  }

  /**
   * ∫ of the Lagrange polynomial that is 1 at the σ of `current` steps ago, over this step's σ. Where
   * σ lie close its value is mostly rounding, so that is as in diffusers: in f32.
   */
  #coefficient(index: number, order: number, current: number): number {
    const at = this.sigmas[index - current];
    const others = Array.from({ length: order }, (_, k) => this.sigmas[index - k]).toSpliced(
      current,
      1,
    );
    return integrateLikeQuad(
      (sigma) =>
        others.reduce((product, other) => f(product * f(f(f(sigma) - other) / f(at - other))), 1),
      this.sigmas[index],
      this.sigmas[index + 1],
    );
  }
}
