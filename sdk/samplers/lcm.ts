import { distilledTimesteps } from './consistency-timesteps.ts';
import { defineSampler } from './define.ts';
import { drawNoise } from './noise.ts';
import { noiseSchedule, scheduleDefaults } from './noise-schedule.ts';
import { mixNoise, predictOriginal, rates } from './prediction.ts';
import type { Sampler, Schedule, StepOptions, StepResult } from './sampler.ts';
import { StepIndex } from './step-index.ts';
import { weightedSum } from './tensor.ts';
import { limitPrediction, thresholdDefaults } from './threshold.ts';

export const distilledDefaults = {
  ...scheduleDefaults,
  ...thresholdDefaults,
  beta_start: 0.00085,
  beta_end: 0.012,
  beta_schedule: 'scaled_linear',
  original_inference_steps: 50,
  clip_sample: false,
  clip_sample_range: 1,
  set_alpha_to_one: true,
  timestep_scaling: 10,
  rescale_betas_zero_snr: false,
};
type Config = typeof distilledDefaults;

export const lcm = defineSampler({
  className: 'LCMScheduler',
  defaults: distilledDefaults,
  takes: ['timesteps'],
  create: (config, schedule) => new LCM(config, schedule),
});

/** Luo et al., "Latent Consistency Models": jump to x0, then noise it for the next timestep. */
class LCM implements Sampler {
  readonly timesteps: readonly number[];
  readonly initNoiseSigma = 1;
  readonly order = 1;
  readonly #config: Config;
  readonly #alphasCumprod: Float32Array;
  readonly #index: StepIndex;

  constructor(config: Config, schedule: Schedule) {
    this.#config = config;
    this.#alphasCumprod = noiseSchedule(config).alphasCumprod;
    this.timesteps = distilledTimesteps(config, schedule);
    this.#index = new StepIndex(this.timesteps);
  }

  setBeginIndex(index: number): void {
    this.#index.begin(index);
  }

  scaleModelInput(sample: Float32Array): Float32Array {
    return sample;
  }

  step(
    modelOutput: Float32Array,
    t: number,
    sample: Float32Array,
    options: StepOptions,
  ): StepResult {
    const index = this.#index.at(t);
    const { alpha, sigma } = rates(this.#alphasCumprod[t]);
    const x0 = limitPrediction(
      predictOriginal(this.#config.prediction_type, modelOutput, sample, alpha, sigma),
      this.#config,
      options.shape,
    );
    // The boundary condition: near t = 0 the model's answer gives way to the sample itself.
    const scaledTime = t * this.#config.timestep_scaling;
    const skip = 0.25 / (scaledTime ** 2 + 0.25);
    const out = scaledTime / Math.sqrt(scaledTime ** 2 + 0.25);
    const denoised = weightedSum([out, x0], [skip, sample]);
    this.#index.advance();

    const next = this.timesteps[index + 1];
    if (next === undefined) return { prev: denoised, denoised };
    const prev = mixNoise(denoised, drawNoise(options), this.#alphasCumprod[next]);
    return { prev, denoised };
  }

  addNoise(original: Float32Array, noise: Float32Array, t: number): Float32Array {
    return mixNoise(original, noise, this.#alphasCumprod[t]);
  }
}
