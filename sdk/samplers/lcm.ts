import { AlphaSampler } from './alpha-sampler.ts';
import { distilledTimesteps } from './consistency-timesteps.ts';
import { defineSampler } from './define.ts';
import { drawNoise } from './noise.ts';
import { scheduleDefaults } from './noise-schedule.ts';
import type { StepOptions, StepResult } from './sampler.ts';
import { weightedSum } from './tensor.ts';
import { thresholdDefaults } from './threshold.ts';

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

export const lcm = defineSampler({
  className: 'LCMScheduler',
  names: { LCM: {} },
  defaults: distilledDefaults,
  takes: ['timesteps'],
  create: (config, schedule) => new LCM(config, distilledTimesteps(config, schedule)),
});

/** Luo et al., "Latent Consistency Models": jump to x0, then noise it for the next timestep. */
class LCM extends AlphaSampler<typeof distilledDefaults> {
  protected take(
    index: number,
    modelOutput: Float32Array,
    sample: Float32Array,
    options: StepOptions,
  ): StepResult {
    const [t, next] = this.timesteps.slice(index);
    const x0 = this.originalOf(modelOutput, sample, this.levelAt(t), options);
    // The boundary condition: near t = 0 the model's answer gives way to the sample itself.
    const scaledTime = t * this.config.timestep_scaling;
    const skip = 0.25 / (scaledTime ** 2 + 0.25);
    const out = scaledTime / Math.sqrt(scaledTime ** 2 + 0.25);
    const denoised = weightedSum([out, x0], [skip, sample]);
    if (next === undefined) return { prev: denoised, denoised };
    return { prev: this.addNoise(denoised, drawNoise(options), next), denoised };
  }
}
