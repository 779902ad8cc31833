import { mixNoise, predictNoise, predictOriginal, type Level } from './prediction.ts';
import type { Sampler, StepOptions, StepResult } from './sampler.ts';
import { StepIndex } from './step-index.ts';
import { limitPrediction, type LimitConfig } from './threshold.ts';

export interface BaseConfig extends LimitConfig {
  readonly prediction_type: string;
}

/** What all samplers share. As it stands it is for samples of unit variance at every timestep. */
export abstract class BaseSampler<C extends BaseConfig> implements Sampler {
  readonly timesteps: readonly number[];
  initNoiseSigma = 1;
  readonly order: number = 1;
  protected readonly config: C;
  protected readonly index: StepIndex;

  /** @param missing see {@link StepIndex} */
  constructor(config: C, timesteps: readonly number[], missing?: 'last') {
    this.config = config;
    this.timesteps = timesteps;
    this.index = new StepIndex(timesteps, missing);
  }

  abstract levelAt(t: number): Level;

  /** One step, from `timesteps[index]`. */
  protected abstract take(
    index: number,
    modelOutput: Float32Array,
    sample: Float32Array,
    options: StepOptions,
  ): StepResult;

  setBeginIndex(index: number): void {
    this.index.begin(index);
  }

  scaleModelInput(sample: Float32Array, _t: number): Float32Array {
    return sample;
  }

  step(
    modelOutput: Float32Array,
    t: number,
    sample: Float32Array,
    options: StepOptions,
  ): StepResult {
    const result = this.take(this.index.at(t), modelOutput, sample, options);
    this.index.advance();
    return result;
  }

  addNoise(original: Float32Array, noise: Float32Array, t: number): Float32Array {
    return mixNoise(original, noise, this.levelAt(t));
  }

  /** x0 of a sample at a level, within the limits of the config. */
  protected originalOf(
    modelOutput: Float32Array,
    sample: Float32Array,
    level: Level,
    { shape }: StepOptions,
  ): Float32Array {
    const x0 = predictOriginal(this.config.prediction_type, modelOutput, sample, level);
    return limitPrediction(x0, this.config, shape);
  }

  /** ε of a sample at a level. */
  protected noiseOf(modelOutput: Float32Array, sample: Float32Array, level: Level): Float32Array {
    return predictNoise(this.config.prediction_type, modelOutput, sample, level);
  }
}
