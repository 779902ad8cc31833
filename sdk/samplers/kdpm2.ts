import { defineSampler } from './define.ts';
import { scheduleDefaults } from './noise-schedule.ts';
import type { Schedule, StepOptions, StepResult } from './sampler.ts';
import {
  secondOrderPath,
  sigmaPath,
  SigmaSampler,
  slope,
  type SigmaPath,
} from './sigma-sampler.ts';
import { logSigmas, sigmaDefaults, sigmaToTimestep } from './sigmas.ts';
import { f, weightedSum } from './tensor.ts';
import { roundHalfEven } from './timesteps.ts';
import { torchExp, torchLog } from './torch-math.ts';

const defaults = {
  ...scheduleDefaults,
  ...sigmaDefaults,
  beta_start: 0.00085,
  beta_end: 0.012,
  timestep_spacing: 'linspace',
};
export type KDPM2Config = typeof defaults;
export const kdpm2Defaults = defaults;

export const kdpm2 = defineSampler({
  className: 'KDPM2DiscreteScheduler',
  names: { DPM2: {} },
  defaults,
  choices: { prediction_type: ['epsilon', 'v_prediction'] },
  takes: ['sigmas'],
  create: (config, schedule) => new KDPM2(config, schedule),
});

/** What both DPM2 samplers share: each step is evaluated at its start and at a σ in its middle. */
export abstract class MidpointSampler extends SigmaSampler<KDPM2Config> {
  override readonly order = 2;
  /** The σ in the middle of each step. */
  readonly #middles: readonly number[];
  /** The sample at the start of the step, between its two evaluations. */
  #start: Float32Array | undefined;

  /** @param middle the σ in the middle of a step between two σ, the second perhaps 0 */
  constructor(
    config: KDPM2Config,
    schedule: Schedule,
    middle: (sigma: number, next: number) => number,
  ) {
    const { path, middles } = kdpm2Path(config, schedule, middle);
    super(config, path);
    this.#middles = middles;
  }

  /** The whole step from `start` by the derivative in its middle. */
  protected abstract finish(
    start: Float32Array,
    derivative: Float32Array,
    sigma: number,
    next: number,
    options: StepOptions,
  ): Float32Array;

  protected override sigmaAt(index: number): number {
    return this.#start ? this.#middles[index >> 1] : this.sigmas[index];
  }

  protected take(
    index: number,
    modelOutput: Float32Array,
    sample: Float32Array,
    options: StepOptions,
  ): StepResult {
    const step = index >> 1;
    const sigma = this.sigmas[2 * step];
    const at = this.sigmaAt(index);
    const x0 = this.originalAt(at, modelOutput, sample);
    const derivative = slope(sample, x0, at);
    if (this.#start) {
      const start = this.#start;
      this.#start = undefined;
      const prev = this.finish(start, derivative, sigma, this.sigmas[index], options);
      return { prev, denoised: x0 };
    }
    this.#start = sample;
    const dt = f(this.#middles[step] - sigma);
    return { prev: weightedSum([1, sample], [dt, derivative]), denoised: x0 };
  }
}

/** k-diffusion's "DPM2": the derivative at the geometric middle of a step carries the whole step. */
class KDPM2 extends MidpointSampler {
  constructor(config: KDPM2Config, schedule: Schedule) {
    super(config, schedule, (sigma, next) => geometricMiddle(next, sigma));
  }

  protected override finish(
    start: Float32Array,
    derivative: Float32Array,
    sigma: number,
    next: number,
  ): Float32Array {
    return weightedSum([1, start], [f(next - sigma), derivative]);
  }
}

/** Where both DPM2 samplers evaluate, and the σ in the middle of each step. */
function kdpm2Path(
  config: KDPM2Config,
  schedule: Schedule,
  middle: (sigma: number, next: number) => number,
): { path: SigmaPath; middles: number[] } {
  const { timesteps: spaced, sigmas } = sigmaPath(config, schedule);
  const timesteps = config.use_karras_sigmas ? spaced.map(roundHalfEven) : spaced;
  const logs = logSigmas(config);
  const middles = timesteps.map((_, i) => middle(sigmas[i], sigmas[i + 1]));
  const between = middles.slice(0, -1).map((sigma) => f(sigmaToTimestep(sigma, logs, f)));
  return { path: secondOrderPath({ timesteps, sigmas }, between), middles };
}

/** exp of torch's `lerp` of the logarithms at ½, which starts from the second. */
export function geometricMiddle(a: number, b: number): number {
  if (a === 0 || b === 0) return 0;
  const [logA, logB] = [torchLog(a), torchLog(b)];
  return torchExp(f(logB - 0.5 * f(logB - logA)));
}
