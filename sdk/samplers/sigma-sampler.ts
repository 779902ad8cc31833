import { linspace32 } from './noise-schedule.ts';
import type { Sampler, Schedule, StepOptions, StepResult } from './sampler.ts';
import { hasSigmaRule, interpolate, logarithms, ruledSigmas, sigmaToTimestep } from './sigmas.ts';
import type { SigmaRules } from './sigmas.ts';
import { StepIndex } from './step-index.ts';
import { divided, weightedSum } from './tensor.ts';
import { fractionalTimesteps, type SpacingConfig } from './timesteps.ts';
import { torchSqrt } from './torch-sqrt.ts';

const f = Math.fround;

/** Where a σ-sampler evaluates: f64 timesteps, and f32 σ for each with the final one. */
export interface SigmaPath {
  timesteps: number[];
  sigmas: Float32Array;
}

/**
 * The path of k-diffusion's samplers: σ interpolated at the spaced (or custom) timesteps, or spaced
 * anew between the first and the last of those by the config's rule; custom σ as they are.
 * @param table σ of every training timestep
 * @param final the σ after the last step
 * @param round the precision in which the spaced timesteps are held
 */
export function sigmaPath(
  config: SpacingConfig & SigmaRules & { interpolation_type?: string },
  { steps = 1, timesteps, sigmas }: Schedule,
  table: Float32Array,
  final = 0,
  round: (t: number) => number = f,
): SigmaPath {
  const logs = logarithms(table);
  if (sigmas) {
    const custom = Float32Array.from(sigmas);
    const at = Array.from(custom.subarray(0, -1), (sigma) => sigmaToTimestep(sigma, logs, f));
    return { timesteps: at, sigmas: custom };
  }
  const spaced = (timesteps ?? fractionalTimesteps(config, steps)).map(round);
  const between =
    config.interpolation_type === 'log_linear'
      ? logLinear(table, spaced.length)
      : interpolate(spaced, table);
  if (!hasSigmaRule(config)) {
    return { timesteps: spaced, sigmas: Float32Array.of(...between, final) };
  }
  const ruled = ruledSigmas(config, between[0], between[between.length - 1], spaced.length);
  return {
    timesteps: ruled.map((sigma) => sigmaToTimestep(sigma, logs)),
    sigmas: Float32Array.of(...ruled, final),
  };
}

/** diffusers makes one σ more than there are timesteps, so the final σ is never reached. */
function logLinear(table: Float32Array, count: number): number[] {
  const [max, min] = [f(Math.log(table[table.length - 1])), f(Math.log(table[0]))];
  return Array.from(linspace32(max, min, count + 1), (log) => f(Math.exp(log)));
}

/** A sampler in k-diffusion's terms: `x = x0 + σ·ε`, scaled to unit variance only for the model. */
export abstract class SigmaSampler implements Sampler {
  readonly timesteps: readonly number[];
  readonly initNoiseSigma: number;
  readonly order: number = 1;
  /** σ for each evaluation and one more, f32. */
  protected readonly sigmas: Float32Array;
  protected readonly index: StepIndex;

  constructor({ timesteps, sigmas }: SigmaPath, spacing: string) {
    this.timesteps = timesteps;
    this.sigmas = sigmas;
    this.index = new StepIndex(timesteps);
    const max = sigmas.reduce((a, b) => Math.max(a, b));
    this.initNoiseSigma = spacing === 'leading' ? unitScale(max) : max;
  }

  abstract step(
    modelOutput: Float32Array,
    t: number,
    sample: Float32Array,
    options: StepOptions,
  ): StepResult;

  setBeginIndex(index: number): void {
    this.index.begin(index);
  }

  scaleModelInput(sample: Float32Array, t: number): Float32Array {
    return divided(sample, unitScale(this.sigmas[this.index.at(t)]));
  }

  addNoise(original: Float32Array, noise: Float32Array, t: number): Float32Array {
    return weightedSum([1, original], [this.sigmas[this.index.forNoise(t)], noise]);
  }
}

/** √(σ² + 1): the deviation of a sample of unit-variance latents at σ. */
export function unitScale(sigma: number): number {
  return torchSqrt(f(f(sigma * sigma) + 1));
}

/** How far an ancestral step goes down from `from`, and how much noise brings it up to `to`. */
export function ancestralSplit(from: number, to: number): { up: number; down: number } {
  const [fromSquared, toSquared] = [f(from * from), f(to * to)];
  const up = torchSqrt(f(f(toSquared * f(fromSquared - toSquared)) / fromSquared));
  const down = torchSqrt(f(toSquared - f(up * up)));
  return { up, down };
}

/** Each value but the first and the last twice: a second-order sampler comes by each σ twice. */
export function doubled(values: readonly number[]): number[] {
  return [values[0], ...values.slice(1, -1).flatMap((v) => [v, v]), values[values.length - 1]];
}
