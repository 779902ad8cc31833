import { defineSampler } from './define.ts';
import { drawNoise } from './noise.ts';
import { finiteNoiseSchedule, scheduleDefaults } from './noise-schedule.ts';
import { predictOriginalK } from './prediction.ts';
import type { Schedule, StepOptions, StepResult } from './sampler.ts';
import { ancestralSplit, sigmaPath, SigmaSampler } from './sigma-sampler.ts';
import { sigmaTable } from './sigmas.ts';
import { difference, divided, weightedSum } from './tensor.ts';

const f = Math.fround;

const defaults = {
  ...scheduleDefaults,
  timestep_spacing: 'linspace',
  rescale_betas_zero_snr: false,
};

export const eulerAncestral = defineSampler({
  className: 'EulerAncestralDiscreteScheduler',
  defaults,
  choices: { prediction_type: ['epsilon', 'v_prediction'] },
  takes: ['sigmas'],
  create: (config, schedule) => new EulerAncestral(config, schedule),
});

/** k-diffusion's "Euler a": a step down past the next σ, then noise up to it. */
class EulerAncestral extends SigmaSampler {
  readonly #predictionType: string;

  constructor(config: typeof defaults, schedule: Schedule) {
    const table = sigmaTable(finiteNoiseSchedule(config).alphasCumprod);
    const { timesteps, sigmas } = sigmaPath(config, schedule, table);
    super({ timesteps: timesteps.map(f), sigmas }, config.timestep_spacing);
    this.#predictionType = config.prediction_type;
  }

  step(
    modelOutput: Float32Array,
    t: number,
    sample: Float32Array,
    options: StepOptions,
  ): StepResult {
    const index = this.index.at(t);
    const sigma = this.sigmas[index];
    const { up, down } = ancestralSplit(sigma, this.sigmas[index + 1]);
    const x0 = predictOriginalK(this.#predictionType, modelOutput, sample, sigma);
    const derivative = divided(difference(sample, x0), sigma);
    this.index.advance();
    // As in diffusers noise is drawn even for the last step, where `up` is 0.
    const noise = drawNoise(options);
    return {
      prev: weightedSum([1, sample], [f(down - sigma), derivative], [up, noise]),
      denoised: x0,
    };
  }
}
