import { invalid } from '../checks.ts';
import { AlphaSampler } from './alpha-sampler.ts';
import { distilledTimesteps } from './consistency-timesteps.ts';
import { defineSampler } from './define.ts';
import { distilledDefaults } from './lcm.ts';
import { drawNoise } from './noise.ts';
import { levelOf, mixNoise, predictOriginal } from './prediction.ts';
import type { StepOptions, StepResult } from './sampler.ts';
import { f } from './tensor.ts';

export const tcd = defineSampler({
  className: 'TCDScheduler',
  names: { TCD: {} },
  defaults: distilledDefaults,
  takes: ['timesteps'],
  stepOptions: ['eta'],
  create: (config, schedule) => new TCD(config, distilledTimesteps(config, schedule)),
});

/**
 * Zheng et al., "Trajectory Consistency Distillation", strategic stochastic sampling: down to a
 * timestep `s = (1 − eta)·next`, then noise up to the next. diffusers clips x0 for LCM only.
 */
class TCD extends AlphaSampler<typeof distilledDefaults> {
  /** @throws SDError INVALID_OPTION unless `eta` lies in 0 … 1 */
  protected take(
    index: number,
    modelOutput: Float32Array,
    sample: Float32Array,
    options: StepOptions,
  ): StepResult {
    const eta = options.eta ?? 0.3;
    if (!(eta >= 0 && eta <= 1)) {
      throw invalid(`TCD's eta must lie in 0 … 1, but is ${eta}.`);
    }
    const [t, next = 0] = this.timesteps.slice(index);
    const level = this.levelAt(t);
    const x0 = predictOriginal(this.config.prediction_type, modelOutput, sample, level);
    const noise = this.noiseOf(modelOutput, sample, level);

    const downTo = this.alphasCumprod[Math.floor(f(f(1 - eta) * next))];
    let prev = mixNoise(x0, noise, levelOf(downTo));
    if (eta > 0 && index !== this.timesteps.length - 1) {
      const kept = f(this.alphasCumprod[next] / downTo);
      prev = mixNoise(prev, drawNoise(options), levelOf(kept));
    }
    return { prev, denoised: x0 };
  }
}
