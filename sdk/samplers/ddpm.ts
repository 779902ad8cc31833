import { defineSampler } from './define.ts';
import { drawNoise } from './noise.ts';
import { noiseSchedule, scheduleDefaults } from './noise-schedule.ts';
import { mixNoise, predictOriginal, rates } from './prediction.ts';
import type { Sampler, Schedule, StepOptions, StepResult } from './sampler.ts';
import { indexOf } from './step-index.ts';
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
  variance_type: 'fixed_small',
  rescale_betas_zero_snr: false,
};

export const ddpm = defineSampler({
  className: 'DDPMScheduler',
  defaults,
  // "learned" needs a model of twice the output channels; "fixed_large_log" is NaN in diffusers too.
  choices: { variance_type: ['fixed_small', 'fixed_small_log', 'fixed_large'] },
  takes: ['timesteps'],
  create: (config, schedule) => new DDPM(config, schedule),
});

/** Ho et al., "Denoising Diffusion Probabilistic Models", equation 7, over any subset of steps. */
class DDPM implements Sampler {
  readonly timesteps: readonly number[];
  readonly initNoiseSigma = 1;
  readonly order = 1;
  readonly #config: typeof defaults;
  readonly #alphasCumprod: Float32Array;

  constructor(config: typeof defaults, { steps = 1, timesteps }: Schedule) {
    this.#config = config;
    this.#alphasCumprod = noiseSchedule(config).alphasCumprod;
    this.timesteps = timesteps?.map(Math.trunc) ?? spacedTimesteps(config, steps);
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
    const next = this.timesteps[indexOf(this.timesteps, t) + 1];
    const product = this.#alphasCumprod[t];
    const previous = next === undefined ? 1 : this.#alphasCumprod[next];
    const { alpha, sigma } = rates(product);
    const betaProduct = f(1 - product);
    const betaPrevious = f(1 - previous);
    const stepAlpha = f(product / previous);
    const stepBeta = f(1 - stepAlpha);

    const x0 = limitPrediction(
      predictOriginal(this.#config.prediction_type, modelOutput, sample, alpha, sigma),
      this.#config,
      options.shape,
    );
    const ofOriginal = f(f(torchSqrt(previous) * stepBeta) / betaProduct);
    const ofSample = f(f(torchSqrt(stepAlpha) * betaPrevious) / betaProduct);
    let prev = weightedSum([ofOriginal, x0], [ofSample, sample]);
    if (t > 0) {
      const variance = Math.max(f(f(betaPrevious / betaProduct) * stepBeta), 1e-20);
      prev = weightedSum([1, prev], [this.#deviation(variance, stepBeta), drawNoise(options)]);
    }
    return { prev, denoised: x0 };
  }

  addNoise(original: Float32Array, noise: Float32Array, t: number): Float32Array {
    return mixNoise(original, noise, this.#alphasCumprod[t]);
  }

  /** The scale of the step's noise: from the posterior's variance ("small") or β ("large"). */
  #deviation(posterior: number, beta: number): number {
    switch (this.#config.variance_type) {
      case 'fixed_small_log':
        return f(Math.exp(f(0.5 * f(Math.log(posterior)))));
      case 'fixed_large':
        return torchSqrt(beta);
      default:
        return torchSqrt(f(posterior));
    }
  }
}
