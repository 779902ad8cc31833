import { AlphaSampler } from './alpha-sampler.ts';
import { defineSampler } from './define.ts';
import { drawNoise } from './noise.ts';
import { scheduleDefaults } from './noise-schedule.ts';
import type { Schedule, StepOptions, StepResult } from './sampler.ts';
import { f, weightedSum } from './tensor.ts';
import { thresholdDefaults } from './threshold.ts';
import { spacedTimesteps } from './timesteps.ts';
import { torchSqrt } from './torch-sqrt.ts';

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
  names: { DDPM: {} },
  defaults,
  // "learned" needs a model of twice the output channels; "fixed_large_log" is NaN in diffusers too.
  choices: { variance_type: ['fixed_small', 'fixed_small_log', 'fixed_large'] },
  takes: ['timesteps'],
  create: (config, schedule) => new DDPM(config, schedule),
});

/** Ho et al., "Denoising Diffusion Probabilistic Models", equation 7, over any subset of steps. */
class DDPM extends AlphaSampler<typeof defaults> {
  constructor(config: typeof defaults, { steps = 1, timesteps }: Schedule) {
    super(config, timesteps?.map(Math.trunc) ?? spacedTimesteps(config, steps));
  }

  protected take(
    index: number,
    modelOutput: Float32Array,
    sample: Float32Array,
    options: StepOptions,
  ): StepResult {
    const t = this.timesteps[index];
    const product = this.alphasCumprod[t];
    const previous = this.alphasCumprod[this.timesteps[index + 1]] ?? 1;
    const betaProduct = f(1 - product);
    const betaPrevious = f(1 - previous);
    const stepAlpha = f(product / previous);
    const stepBeta = f(1 - stepAlpha);

    const x0 = this.originalOf(modelOutput, sample, this.levelAt(t), options);
    const ofOriginal = f(f(torchSqrt(previous) * stepBeta) / betaProduct);
    const ofSample = f(f(torchSqrt(stepAlpha) * betaPrevious) / betaProduct);
    let prev = weightedSum([ofOriginal, x0], [ofSample, sample]);
    if (t > 0) {
      const variance = Math.max(f(f(betaPrevious / betaProduct) * stepBeta), 1e-20);
      prev = weightedSum([1, prev], [this.#deviation(variance, stepBeta), drawNoise(options)]);
    }
    return { prev, denoised: x0 };
  }

  /** The scale of the step's noise: from the posterior's variance ("small") or β ("large"). */
  #deviation(posterior: number, beta: number): number {
    switch (this.config.variance_type) {
      case 'fixed_small_log':
        return f(Math.exp(f(0.5 * f(Math.log(posterior)))));
      case 'fixed_large':
        return torchSqrt(beta);
      default:
        return torchSqrt(f(posterior));
    }
  }
}
