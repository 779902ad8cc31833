import { BaseSampler, type BaseConfig } from './base.ts';
import { linspace32, type BetaConfig } from './noise-schedule.ts';
import { predictOriginalK, type Level } from './prediction.ts';
import type { Schedule } from './sampler.ts';
import {
  hasSigmaRule,
  interpolate,
  logSigmas,
  ruledSigmas,
  sigmaTable,
  sigmaToTimestep,
  type SigmaRules,
} from './sigmas.ts';
import { difference, divided, f } from './tensor.ts';
import { fractionalTimesteps, type SpacingConfig } from './timesteps.ts';
import { torchSqrt } from './torch-sqrt.ts';

/** Where a σ-sampler evaluates: f64 timesteps, and f32 σ for each with the final one. */
export interface SigmaPath {
  timesteps: number[];
  sigmas: Float32Array;
}

type SigmaConfig = BaseConfig &
  BetaConfig &
  SpacingConfig &
  SigmaRules & { readonly interpolation_type?: string; readonly final_sigmas_type?: string };

/**
 * The path of k-diffusion's samplers: σ interpolated at the spaced (or custom) timesteps, or spaced
 * anew between the first and the last of those by the config's rule; custom σ as they are.
 * @param round the precision in which the spaced timesteps are held
 */
export function sigmaPath(
  config: SigmaConfig,
  { steps = 1, timesteps, sigmas }: Schedule,
  round: (t: number) => number = f,
): SigmaPath {
  const table = sigmaTable(config);
  const logs = logSigmas(config);
  const final = config.final_sigmas_type === 'sigma_min' ? table[0] : 0;
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

/** The same with the timesteps rounded to f32, wherever they come from. */
export function roundedPath(config: SigmaConfig, schedule: Schedule): SigmaPath {
  const { timesteps, sigmas } = sigmaPath(config, schedule);
  return { timesteps: timesteps.map(f), sigmas };
}

/**
 * The path of a sampler of second order, which comes by each σ but the first and the last twice.
 * @param between where each step but the last is evaluated for the second time
 */
export function secondOrderPath(
  { timesteps, sigmas }: SigmaPath,
  between: readonly number[],
): SigmaPath {
  return {
    timesteps: timesteps.flatMap((t, i) => (i < between.length ? [t, between[i]] : t)),
    sigmas: Float32Array.from(
      [...sigmas].flatMap((sigma, i) => (i % (sigmas.length - 1) === 0 ? sigma : [sigma, sigma])),
    ),
  };
}

/** A sampler in k-diffusion's terms: `x = x0 + σ·ε`, scaled to unit variance only for the model. */
export abstract class SigmaSampler<C extends SigmaConfig> extends BaseSampler<C> {
  /** σ for each evaluation and one more, f32. */
  protected readonly sigmas: Float32Array;

  constructor(config: C, { timesteps, sigmas }: SigmaPath) {
    super(config, timesteps);
    this.sigmas = sigmas;
    const max = sigmas.reduce((a, b) => Math.max(a, b));
    this.initNoiseSigma = config.timestep_spacing === 'leading' ? unitScale(max) : max;
  }

  levelAt(t: number): Level {
    return { alpha: 1, sigma: this.sigmas[this.index.forNoise(t)] };
  }

  override scaleModelInput(sample: Float32Array, t: number): Float32Array {
    return divided(sample, unitScale(this.sigmaAt(this.index.at(t))));
  }

  /** The σ at which the model is evaluated. */
  protected sigmaAt(index: number): number {
    return this.sigmas[index];
  }

  /** x0 of a sample at σ. */
  protected originalAt(
    sigma: number,
    modelOutput: Float32Array,
    sample: Float32Array,
  ): Float32Array {
    return predictOriginalK(this.config.prediction_type, modelOutput, sample, sigma);
  }
}

/** dx/dσ at a sample of a given x0. */
export function slope(sample: Float32Array, x0: Float32Array, sigma: number): Float32Array {
  return divided(difference(sample, x0), sigma);
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
