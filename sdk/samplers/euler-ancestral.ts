import { defineSampler } from './define.ts';
import { drawNoise } from './noise.ts';
import { scheduleDefaults } from './noise-schedule.ts';
import type { StepOptions, StepResult } from './sampler.ts';
import { ancestralSplit, roundedPath, SigmaSampler, slope } from './sigma-sampler.ts';
import { f, weightedSum } from './tensor.ts';

const defaults = {
  ...scheduleDefaults,
  timestep_spacing: 'linspace',
  rescale_betas_zero_snr: false,
};

export const eulerAncestral = defineSampler({
  className: 'EulerAncestralDiscreteScheduler',
  names: { 'Euler a': {} },
  defaults,
  choices: { prediction_type: ['epsilon', 'v_prediction'] },
  takes: ['sigmas'],
  create: (config, schedule) => new EulerAncestral(config, roundedPath(config, schedule)),
});

/** k-diffusion's "Euler a": a step down past the next σ, then noise up to it. */
class EulerAncestral extends SigmaSampler<typeof defaults> {
  protected take(
    index: number,
    modelOutput: Float32Array,
    sample: Float32Array,
    options: StepOptions,
  ): StepResult {
    const sigma = this.sigmas[index];
    const { up, down } = ancestralSplit(sigma, this.sigmas[index + 1]);
    const x0 = this.originalAt(sigma, modelOutput, sample);
    const derivative = slope(sample, x0, sigma);
    // As in diffusers noise is drawn even for the last step, where `up` is 0.
    const noise = drawNoise(options);
    return {
      prev: weightedSum([1, sample], [f(down - sigma), derivative], [up, noise]),
      denoised: x0,
    };
  }
}
