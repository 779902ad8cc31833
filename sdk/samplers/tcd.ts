import { SDError } from '../errors.ts';
import { distilledTimesteps } from './consistency-timesteps.ts';
import { defineSampler } from './define.ts';
import { distilledDefaults } from './lcm.ts';
import { drawNoise } from './noise.ts';
import { noiseSchedule } from './noise-schedule.ts';
import { mixNoise, predictNoise, predictOriginal, rates } from './prediction.ts';
import type { Sampler, Schedule, StepOptions, StepResult } from './sampler.ts';
import { StepIndex } from './step-index.ts';

const f = Math.fround;

type Config = typeof distilledDefaults;

export const tcd = defineSampler({
  className: 'TCDScheduler',
  defaults: distilledDefaults,
  takes: ['timesteps'],
  stepOptions: ['eta'],
  create: (config, schedule) => new TCD(config, schedule),
});

/**
 * Zheng et al., "Trajectory Consistency Distillation", strategic stochastic sampling: down to a
 * timestep `s = (1 − eta)·next`, then noise up to the next. diffusers clips x0 for LCM only.
 */
class TCD implements Sampler {
  readonly timesteps: readonly number[];
  readonly initNoiseSigma = 1;
  readonly order = 1;
  readonly #predictionType: string;
  readonly #alphasCumprod: Float32Array;
  readonly #index: StepIndex;

  constructor(config: Config, schedule: Schedule) {
    this.#predictionType = config.prediction_type;
    this.#alphasCumprod = noiseSchedule(config).alphasCumprod;
    this.timesteps = distilledTimesteps(config, schedule);
    this.#index = new StepIndex(this.timesteps);
  }

  setBeginIndex(index: number): void {
    this.#index.begin(index);
  }

  scaleModelInput(sample: Float32Array): Float32Array {
    return sample;
  }

  /** @throws SDError INVALID_OPTION unless `eta` lies in 0 … 1 */
  step(
    modelOutput: Float32Array,
    t: number,
    sample: Float32Array,
    options: StepOptions,
  ): StepResult {
    const eta = options.eta ?? 0.3;
    if (!(eta >= 0 && eta <= 1)) {
      throw new SDError('INVALID_OPTION', `TCD's eta must lie in 0 … 1, but is ${eta}.`);
    }
    const index = this.#index.at(t);
    const next = this.timesteps[index + 1] ?? 0;
    const { alpha, sigma } = rates(this.#alphasCumprod[t]);
    const x0 = predictOriginal(this.#predictionType, modelOutput, sample, alpha, sigma);
    const noise = predictNoise(this.#predictionType, modelOutput, sample, alpha, sigma);

    const downTo = this.#alphasCumprod[Math.floor(f(f(1 - eta) * next))];
    let prev = mixNoise(x0, noise, downTo);
    this.#index.advance();
    if (eta > 0 && index !== this.timesteps.length - 1) {
      const kept = f(this.#alphasCumprod[next] / downTo);
      prev = mixNoise(prev, drawNoise(options), kept);
    }
    return { prev, denoised: x0 };
  }

  addNoise(original: Float32Array, noise: Float32Array, t: number): Float32Array {
    return mixNoise(original, noise, this.#alphasCumprod[t]);
  }
}
