import { defineSampler } from './define.ts';
import { integrateLikeQuad } from './gauss-kronrod.ts';
import { scheduleDefaults } from './noise-schedule.ts';
import type { StepOptions, StepResult } from './sampler.ts';
import { roundedPath, SigmaSampler, slope } from './sigma-sampler.ts';
import { sigmaDefaults } from './sigmas.ts';
import { f, scaled, sum } from './tensor.ts';

const defaults = { ...scheduleDefaults, ...sigmaDefaults, timestep_spacing: 'linspace' };

export const lms = defineSampler({
  className: 'LMSDiscreteScheduler',
  names: { LMS: {} },
  defaults,
  takes: ['sigmas'],
  stepOptions: ['order'],
  create: (config, schedule) => new LMS(config, roundedPath(config, schedule)),
});

/** k-diffusion's linear multistep: the polynomial through the last derivatives, integrated over σ. */
class LMS extends SigmaSampler<typeof defaults> {
  /** Newest first. */
  #derivatives: Float32Array[] = [];

  protected take(
    index: number,
    modelOutput: Float32Array,
    sample: Float32Array,
    { order = 4 }: StepOptions,
  ): StepResult {
    const sigma = this.sigmas[index];
    const x0 = this.originalAt(sigma, modelOutput, sample);
    this.#derivatives = [slope(sample, x0, sigma), ...this.#derivatives].slice(0, order);

    // A run that starts in the middle has the order of its place, but fewer derivatives to weigh.
    const placeOrder = Math.min(index + 1, order);
    const weighted = this.#derivatives
      .slice(0, placeOrder)
      .map((d, i) => scaled(d, this.#coefficient(index, placeOrder, i)));
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
