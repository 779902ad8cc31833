import { betaQuantile } from './beta-quantile.ts';
import { finiteNoiseSchedule, type BetaConfig } from './noise-schedule.ts';
import { numpyLog } from './numpy-log.ts';
import { linspace } from './timesteps.ts';
import { torchSqrt } from './torch-sqrt.ts';
import { f } from './tensor.ts';

/** σ = √((1−ᾱ)/ᾱ) for each training timestep, ascending, in f32. */
export function sigmaTable(config: BetaConfig): Float32Array {
  const { alphasCumprod } = finiteNoiseSchedule(config);
  return alphasCumprod.map((product) => torchSqrt(f(f(1 - product) / product)));
}

/** log σ of the table, rounded as NumPy stores it. */
export function logSigmas(config: BetaConfig): Float32Array {
  return sigmaTable(config).map(numpyLog);
}

/** `numpy.interp(t, [0, 1, …], table)`: σ at fractional timesteps, in f64. */
export function interpolate(timesteps: readonly number[], table: Float32Array): number[] {
  return timesteps.map((t) => {
    if (t <= 0) return table[0];
    if (t >= table.length - 1) return table[table.length - 1];
    const low = Math.floor(t);
    return (table[low + 1] - table[low]) * (t - low) + table[low];
  });
}

/** The settings that choose how σ are spaced; at most one may be true. */
export const sigmaDefaults = {
  use_karras_sigmas: false,
  use_exponential_sigmas: false,
  use_beta_sigmas: false,
};

export type SigmaRules = Partial<typeof sigmaDefaults> & {
  readonly sigma_min?: number | null;
  readonly sigma_max?: number | null;
};

/** True where σ are spaced by a rule of their own and the timesteps follow from them. */
export function hasSigmaRule(config: SigmaRules): boolean {
  const { use_karras_sigmas, use_exponential_sigmas, use_beta_sigmas } = config;
  return Boolean(use_karras_sigmas || use_exponential_sigmas || use_beta_sigmas);
}

/**
 * `count` σ in descending order by the config's rule, in f64.
 * @param first the largest σ, unless the config has a `sigma_max`
 * @param last the smallest σ, unless the config has a `sigma_min`
 */
export function ruledSigmas(
  config: SigmaRules,
  first: number,
  last: number,
  count: number,
): number[] {
  const max = config.sigma_max ?? first;
  const min = config.sigma_min ?? last;
  if (config.use_karras_sigmas) return karras(min, max, count);
  if (config.use_exponential_sigmas) {
    return linspace(Math.log(max), Math.log(min), count).map(Math.exp);
  }
  return linspace(0, 1, count).map((ramp) => min + betaQuantile(1 - ramp) * (max - min));
}

/** Karras et al., "Elucidating the Design Space…", equation 5, ρ = 7. */
function karras(min: number, max: number, count: number): number[] {
  const low = min ** (1 / 7);
  const high = max ** (1 / 7);
  return linspace(0, 1, count).map((ramp) => (high + ramp * (low - high)) ** 7);
}

/**
 * The fractional timestep of a σ, by linear interpolation of log σ over the f32 table. diffusers'
 * `_sigma_to_t` under NumPy 2, which computes in the precision of the σ: f64, or f32 given `Math.fround`.
 */
export function sigmaToTimestep(
  sigma: number,
  logSigmas: Float32Array,
  round: (value: number) => number = (value) => value,
): number {
  const log = round(Math.log(Math.max(sigma, 1e-10)));
  let low = 0;
  for (let i = 0; i < logSigmas.length; i++) if (logSigmas[i] <= log) low = i;
  low = Math.min(low, logSigmas.length - 2);
  const above = round(logSigmas[low] - log);
  const weight = round(above / f(logSigmas[low] - logSigmas[low + 1]));
  const clipped = Math.min(Math.max(weight, 0), 1);
  return round(1 - clipped) * low + clipped * (low + 1);
}
