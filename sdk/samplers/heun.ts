import { defineSampler } from './define.ts';
import { scheduleDefaults } from './noise-schedule.ts';
import type { Schedule, StepResult } from './sampler.ts';
import {
  roundedPath,
  secondOrderPath,
  SigmaSampler,
  slope,
  type SigmaPath,
} from './sigma-sampler.ts';
import { sigmaDefaults } from './sigmas.ts';
import { clamped, divided, f, sum, weightedSum } from './tensor.ts';

const defaults = {
  ...scheduleDefaults,
  ...sigmaDefaults,
  beta_start: 0.00085,
  beta_end: 0.012,
  timestep_spacing: 'linspace',
  clip_sample: false,
  clip_sample_range: 1,
};

export const heun = defineSampler({
  className: 'HeunDiscreteScheduler',
  names: { Heun: {} },
  defaults,
  takes: ['timesteps', 'sigmas'],
  create: (config, schedule) => new Heun(config, heunPath(config, schedule)),
});

/** Karras et al., "Elucidating the Design Space…", algorithm 1: Euler and its correction. */
class Heun extends SigmaSampler<typeof defaults> {
  override readonly order = 2;
  /** What the first of a step's two evaluations leaves for the second. */
  #first: { derivative: Float32Array; sample: Float32Array; dt: number } | undefined;

  protected take(index: number, modelOutput: Float32Array, sample: Float32Array): StepResult {
    const sigma = this.sigmas[index];
    const { clip_sample, clip_sample_range } = this.config;
    let x0 = this.originalAt(sigma, modelOutput, sample);
    if (clip_sample) x0 = clamped(x0, clip_sample_range);
    const derivative = slope(sample, x0, sigma);

    if (this.#first) {
      const { derivative: before, sample: start, dt } = this.#first;
      this.#first = undefined;
      const average = divided(sum(before, derivative), 2);
      return { prev: weightedSum([1, start], [dt, average]), denoised: x0 };
    }
    const dt = f(this.sigmas[index + 1] - sigma);
    this.#first = { derivative, sample, dt };
    return { prev: weightedSum([1, sample], [dt, derivative]), denoised: x0 };
  }
}

/** A step is evaluated for the second time at its end, where the next one starts. */
function heunPath(config: typeof defaults, schedule: Schedule): SigmaPath {
  const path = roundedPath(config, schedule);
  return secondOrderPath(path, path.timesteps.slice(1));
}
