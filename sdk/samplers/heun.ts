import { defineSampler } from './define.ts';
import { noiseSchedule, scheduleDefaults } from './noise-schedule.ts';
import { predictOriginalK } from './prediction.ts';
import type { Schedule, StepResult } from './sampler.ts';
import { doubled, sigmaPath, SigmaSampler } from './sigma-sampler.ts';
import { sigmaDefaults, sigmaTable } from './sigmas.ts';
import { clamped, difference, divided, sum, weightedSum } from './tensor.ts';

const f = Math.fround;

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
  defaults,
  takes: ['timesteps', 'sigmas'],
  create: (config, schedule) => new Heun(config, schedule),
});

/** Karras et al., "Elucidating the Design Space…", algorithm 1: Euler and its correction. */
class Heun extends SigmaSampler {
  override readonly order = 2;
  readonly #config: typeof defaults;
  /** What the first of a step's two evaluations leaves for the second. */
  #first: { derivative: Float32Array; sample: Float32Array; dt: number } | undefined;

  constructor(config: typeof defaults, schedule: Schedule) {
    const table = sigmaTable(noiseSchedule(config).alphasCumprod);
    const { timesteps, sigmas } = sigmaPath(config, schedule, table);
    const times = [...timesteps.map(f), 0];
    super(
      { timesteps: doubled(times).slice(0, -1), sigmas: Float32Array.from(doubled([...sigmas])) },
      config.timestep_spacing,
    );
    this.#config = config;
  }

  step(modelOutput: Float32Array, t: number, sample: Float32Array): StepResult {
    const index = this.index.at(t);
    const sigma = this.sigmas[index];
    const { prediction_type, clip_sample, clip_sample_range } = this.#config;
    let x0 = predictOriginalK(prediction_type, modelOutput, sample, sigma);
    if (clip_sample) x0 = clamped(x0, clip_sample_range);
    const derivative = divided(difference(sample, x0), sigma);
    this.index.advance();

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
