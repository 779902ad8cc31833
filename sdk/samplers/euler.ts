import { defineSampler } from './define.ts';
import { drawNoise } from './noise.ts';
import { scheduleDefaults } from './noise-schedule.ts';
import type { Schedule, StepOptions, StepResult } from './sampler.ts';
import { roundedPath, SigmaSampler, slope, type SigmaPath } from './sigma-sampler.ts';
import { sigmaDefaults } from './sigmas.ts';
import { f, scaled, weightedSum } from './tensor.ts';
import { torchLog } from './torch-math.ts';
import { torchSqrt } from './torch-sqrt.ts';

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
  names: { Euler: {} },
  defaults,
  takes: ['timesteps', 'sigmas'],
  stepOptions: ['sChurn', 'sTmin', 'sTmax', 'sNoise'],
  create: (config, schedule) => new Euler(config, eulerPath(config, schedule)),
});

/** Karras et al., "Elucidating the Design Space…", algorithm 2 without its second-order correction. */
class Euler extends SigmaSampler<typeof defaults> {
  protected take(
    index: number,
    modelOutput: Float32Array,
    sample: Float32Array,
    options: StepOptions,
  ): StepResult {
    const { sChurn = 0, sTmin = 0, sTmax = Infinity, sNoise = 1 } = options;
    const sigma = this.sigmas[index];
    const churned = sTmin <= sigma && sigma <= sTmax;
    const gamma = churned ? Math.min(sChurn / (this.sigmas.length - 1), Math.SQRT2 - 1) : 0;
    const sigmaHat = f(sigma * f(gamma + 1));
    if (gamma > 0) {
      const extra = torchSqrt(f(f(sigmaHat * sigmaHat) - f(sigma * sigma)));
      sample = weightedSum([1, sample], [extra, scaled(drawNoise(options), sNoise)]);
    }
    // diffusers converts v at the σ before churn.
    const isV = this.config.prediction_type === 'v_prediction';
    const x0 = this.originalAt(isV ? sigma : sigmaHat, modelOutput, sample);
    const derivative = slope(sample, x0, sigmaHat);
    return {
      prev: weightedSum([1, sample], [f(this.sigmas[index + 1] - sigmaHat), derivative]),
      denoised: x0,
    };
  }
}

/** "continuous" v-prediction models are told ¼·log σ instead of a timestep. */
function eulerPath(config: typeof defaults, schedule: Schedule): SigmaPath {
  const path = roundedPath(config, schedule);
  if (config.timestep_type !== 'continuous' || config.prediction_type !== 'v_prediction')
    return path;
  const timesteps = path.timesteps.map((_, i) => f(0.25 * torchLog(path.sigmas[i])));
  return { ...path, timesteps };
}
