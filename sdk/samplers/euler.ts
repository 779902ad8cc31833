import { defineSampler } from './define.ts';
import { drawNoise } from './noise.ts';
import { finiteNoiseSchedule, scheduleDefaults } from './noise-schedule.ts';
import { predictOriginalK } from './prediction.ts';
import type { Schedule, StepOptions, StepResult } from './sampler.ts';
import { sigmaPath, SigmaSampler } from './sigma-sampler.ts';
import { sigmaDefaults, sigmaTable } from './sigmas.ts';
import { difference, divided, scaled, weightedSum } from './tensor.ts';
import { torchLog } from './torch-math.ts';
import { torchSqrt } from './torch-sqrt.ts';

const f = Math.fround;

const defaults = {
  ...scheduleDefaults,
  ...sigmaDefaults,
  timestep_spacing: 'linspace',
  interpolation_type: 'linear',
  sigma_min: null as number | null,
  sigma_max: null as number | null,
  timestep_type: 'discrete',
  rescale_betas_zero_snr: false,
  final_sigmas_type: 'zero',
};

export const euler = defineSampler({
  className: 'EulerDiscreteScheduler',
  defaults,
  takes: ['timesteps', 'sigmas'],
  stepOptions: ['sChurn', 'sTmin', 'sTmax', 'sNoise'],
  create: (config, schedule) => new Euler(config, schedule),
});

/** Karras et al., "Elucidating the Design Space…", algorithm 2 without its second-order correction. */
class Euler extends SigmaSampler {
  readonly #predictionType: string;

  constructor(config: typeof defaults, schedule: Schedule) {
    const table = sigmaTable(finiteNoiseSchedule(config).alphasCumprod);
    const final = config.final_sigmas_type === 'sigma_min' ? table[0] : 0;
    const { timesteps, sigmas } = sigmaPath(config, schedule, table, final);
    const continuous =
      config.timestep_type === 'continuous' && config.prediction_type === 'v_prediction';
    const seen = continuous ? timesteps.map((_, i) => 0.25 * torchLog(sigmas[i])) : timesteps;
    super({ timesteps: seen.map(f), sigmas }, config.timestep_spacing);
    this.#predictionType = config.prediction_type;
  }

  step(
    modelOutput: Float32Array,
    t: number,
    sample: Float32Array,
    options: StepOptions,
  ): StepResult {
    const { sChurn = 0, sTmin = 0, sTmax = Infinity, sNoise = 1 } = options;
    const index = this.index.at(t);
    const sigma = this.sigmas[index];
    const churned = sTmin <= sigma && sigma <= sTmax;
    const gamma = churned ? Math.min(sChurn / (this.sigmas.length - 1), Math.SQRT2 - 1) : 0;
    const sigmaHat = f(sigma * f(gamma + 1));
    if (gamma > 0) {
      const extra = torchSqrt(f(f(sigmaHat * sigmaHat) - f(sigma * sigma)));
      sample = weightedSum([1, sample], [extra, scaled(drawNoise(options), sNoise)]);
    }
    // diffusers converts v at the σ before churn.
    const noiseLevel = this.#predictionType === 'v_prediction' ? sigma : sigmaHat;
    const x0 = predictOriginalK(this.#predictionType, modelOutput, sample, noiseLevel);
    const derivative = divided(difference(sample, x0), sigmaHat);
    this.index.advance();
    return {
      prev: weightedSum([1, sample], [f(this.sigmas[index + 1] - sigmaHat), derivative]),
      denoised: x0,
    };
  }
}
