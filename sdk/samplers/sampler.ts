import type { Generator } from '../random/generator.ts';
import type { Level } from './prediction.ts';

/** What {@link Sampler.step} may be told beyond the tensors. */
export interface StepOptions {
  /** torch's shape of the latents, `[batch, channels, height, width]`. */
  shape: readonly number[];
  /** Where samplers that add noise draw it; those throw without one. */
  generator?: Generator;
  /** DDIM: 0 (default) is deterministic, 1 is DDPM's variance. TCD: its γ, default 0.3. */
  eta?: number;
  /** DDIM: recompute ε from the clipped x0. Default false. */
  useClippedModelOutput?: boolean;
  /** Euler: churn, and the range of σ in which it acts. Defaults 0, 0, ∞. */
  sChurn?: number;
  sTmin?: number;
  sTmax?: number;
  /** Scale of the noise that is added (Euler's churn, DPM++ SDE). Default 1. */
  sNoise?: number;
  /** DPM++ SDE: the seed of its noise for each picture of the batch. Default: by its config. */
  noiseSeeds?: readonly (number | bigint)[];
  /** LMS: how many derivatives are used. Default 4. */
  order?: number;
  /**
   * Where a run is traced instead of computed (pipeline/trace.ts): takes what makes the noise, and
   * gives what stands for it.
   */
  trace?: (make: () => Float32Array) => Float32Array;
}

export interface StepResult {
  /** The sample at the next timestep. */
  prev: Float32Array;
  /** The picture predicted by this step (x0), for previews. */
  denoised: Float32Array;
}

/**
 * One run of a diffusion sampler, stateful: make a new one for each picture.
 *
 * Tensors are flat, row-major NCHW. No method changes its arguments; `scaleModelInput` may return
 * its argument. Steps are sums of their tensors (but for clipping), with coefficients that depend on
 * no tensor's values or length: engines find these by tracing and take the step themselves.
 */
export interface Sampler {
  /** Where the model is evaluated, in order. σ-samplers have fractional ones. */
  readonly timesteps: readonly number[];
  /** What standard normal noise is multiplied by to start a picture. */
  readonly initNoiseSigma: number;
  /** How many consecutive evaluations make a step: an image-to-image start skips `n · order`. */
  readonly order: number;
  /** Says that the run starts at `timesteps[index]`, as image-to-image does. */
  setBeginIndex(index: number): void;
  /** The sample as the model wants it at `t`. */
  scaleModelInput(sample: Float32Array, t: number): Float32Array;
  /**
   * From the model's output at `t` to the next sample.
   * @throws SDError INVALID_OPTION when noise is needed and `options.generator` is missing
   */
  step(
    modelOutput: Float32Array,
    t: number,
    sample: Float32Array,
    options: StepOptions,
  ): StepResult;
  /** How noisy a sample is at `t`. */
  levelAt(t: number): Level;
  /** `original` with `noise` at the level of timestep `t`. */
  addNoise(original: Float32Array, noise: Float32Array, t: number): Float32Array;
}

/** How many steps, or exactly where: one of `steps`, `timesteps` and `sigmas`. */
export interface Schedule {
  /** 1 … `num_train_timesteps`. */
  steps?: number;
  /** With `steps`: σ of "Align Your Steps" for this family of models, for samplers that take σ. */
  alignYourSteps?: 'sd1' | 'sdxl';
  /** Descending timesteps, for samplers that take them. */
  timesteps?: readonly number[];
  /** Descending σ with the final one (mostly 0), for samplers that take them. */
  sigmas?: readonly number[];
}

/** A scheduler's settings under the names of diffusers' `scheduler_config.json`. */
export type SchedulerConfig = Readonly<Record<string, unknown>>;
