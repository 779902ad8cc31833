import { defineSampler } from './define.ts';
import { drawNoise } from './noise.ts';
import { noiseSchedule, scheduleDefaults } from './noise-schedule.ts';
import { mixNoise, noiseOf, predictNoise, predictOriginal, rates } from './prediction.ts';
import type { Sampler, Schedule, StepOptions, StepResult } from './sampler.ts';
import { weightedSum } from './tensor.ts';
import { limitPrediction, thresholdDefaults } from './threshold.ts';
import { spacedTimesteps } from './timesteps.ts';
import { torchSqrt } from './torch-sqrt.ts';

const f = Math.fround;

const defaults = {
  ...scheduleDefaults,
  ...thresholdDefaults,
  clip_sample: true,
  clip_sample_range: 1,
  set_alpha_to_one: true,
  rescale_betas_zero_snr: false,
};

export const ddim = defineSampler({
  className: 'DDIMScheduler',
  defaults,
  stepOptions: ['eta', 'useClippedModelOutput'],
  create: (config, schedule) => new DDIM(config, schedule),
});

/** Song et al., "Denoising Diffusion Implicit Models", equation 12; noise with `eta` > 0. */
class DDIM implements Sampler {
  readonly timesteps: readonly number[];
  readonly initNoiseSigma = 1;
  readonly order = 1;
  readonly #config: typeof defaults;
  readonly #alphasCumprod: Float32Array;
  readonly #stride: number;

  constructor(config: typeof defaults, { steps = 1 }: Schedule) {
    this.#config = config;
    this.#alphasCumprod = noiseSchedule(config).alphasCumprod;
    this.timesteps = spacedTimesteps(config, steps);
    this.#stride = Math.floor(config.num_train_timesteps / steps);
  }

  /** Nothing to do: each step is found from its `t`. */
  setBeginIndex(): void {}

  scaleModelInput(sample: Float32Array): Float32Array {
    return sample;
  }

  step(
    modelOutput: Float32Array,
    t: number,
    sample: Float32Array,
    options: StepOptions,
  ): StepResult {
    const { prediction_type } = this.#config;
    const product = this.#alphasCumprod[t];
    const previous = this.#alphaProductBefore(t);
    const { alpha, sigma } = rates(product);

    const x0 = limitPrediction(
      predictOriginal(prediction_type, modelOutput, sample, alpha, sigma),
      this.#config,
      options.shape,
    );
    const noise = options.useClippedModelOutput
      ? noiseOf(sample, x0, alpha, sigma)
      : predictNoise(prediction_type, modelOutput, sample, alpha, sigma);

    const eta = options.eta ?? 0;
    const variance = f(f(f(1 - previous) / f(1 - product)) * f(1 - f(product / previous)));
    const deviation = f(f(eta) * torchSqrt(variance));
    const direction = torchSqrt(f(f(1 - previous) - f(deviation * deviation)));
    let prev = weightedSum([torchSqrt(previous), x0], [direction, noise]);
    if (eta > 0) prev = weightedSum([1, prev], [deviation, drawNoise(options)]);
    return { prev, denoised: x0 };
  }

  addNoise(original: Float32Array, noise: Float32Array, t: number): Float32Array {
    return mixNoise(original, noise, this.#alphasCumprod[t]);
  }

  /** ᾱ one stride below `t`; below 0 the config says what the end is. */
  #alphaProductBefore(t: number): number {
    const previous = t - this.#stride;
    if (previous >= 0) return this.#alphasCumprod[previous];
    return this.#config.set_alpha_to_one ? 1 : this.#alphasCumprod[0];
  }
}
