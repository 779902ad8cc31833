import { AlphaSampler } from './alpha-sampler.ts';
import { defineSampler } from './define.ts';
import { drawNoise } from './noise.ts';
import { scheduleDefaults } from './noise-schedule.ts';
import { noiseOf } from './prediction.ts';
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
  set_alpha_to_one: true,
  rescale_betas_zero_snr: false,
};

export const ddim = defineSampler({
  className: 'DDIMScheduler',
  names: { DDIM: {} },
  defaults,
  stepOptions: ['eta', 'useClippedModelOutput'],
  create: (config, schedule) => new DDIM(config, schedule),
});

/** Song et al., "Denoising Diffusion Implicit Models", equation 12; noise with `eta` > 0. */
class DDIM extends AlphaSampler<typeof defaults> {
  readonly #stride: number;

  constructor(config: typeof defaults, { steps = 1 }: Schedule) {
    super(config, spacedTimesteps(config, steps));
    this.#stride = Math.floor(config.num_train_timesteps / steps);
  }

  protected take(
    index: number,
    modelOutput: Float32Array,
    sample: Float32Array,
    options: StepOptions,
  ): StepResult {
    const t = this.timesteps[index];
    const product = this.alphasCumprod[t];
    const previous = this.alphaProduct(t - this.#stride);
    const level = this.levelAt(t);
    const x0 = this.originalOf(modelOutput, sample, level, options);
    const noise = options.useClippedModelOutput
      ? noiseOf(sample, x0, level)
      : this.noiseOf(modelOutput, sample, level);

    const eta = options.eta ?? 0;
    const variance = f(f(f(1 - previous) / f(1 - product)) * f(1 - f(product / previous)));
    const deviation = f(f(eta) * torchSqrt(variance));
    const direction = torchSqrt(f(f(1 - previous) - f(deviation * deviation)));
    let prev = weightedSum([torchSqrt(previous), x0], [direction, noise]);
    if (eta > 0) prev = weightedSum([1, prev], [deviation, drawNoise(options)]);
    return { prev, denoised: x0 };
  }
}
