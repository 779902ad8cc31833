import { interpolate } from './sigmas.ts';
import { linspace } from './timesteps.ts';

/**
 * Sabour et al., "Align Your Steps": σ found by optimisation for ten steps of each family of models.
 * As its authors publish them; the last is replaced by 0 to finish clean.
 */
const SIGMAS = {
  sd1: [14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.029],
  sdxl: [14.615, 6.315, 3.771, 2.181, 1.342, 0.862, 0.555, 0.38, 0.234, 0.113, 0.029],
} as const;

/** The same as timesteps, for samplers that take those. Equal to diffusers' `AysSchedules`. */
export const ALIGNED_TIMESTEPS = {
  sd1: [999, 850, 736, 645, 545, 455, 343, 233, 124, 24],
  sdxl: [999, 845, 730, 587, 443, 310, 193, 116, 53, 13],
} as const;

/** `steps` σ and the final 0: for other numbers than ten interpolated in log σ, as published. */
export function alignedSigmas(family: keyof typeof SIGMAS, steps: number): number[] {
  const published = SIGMAS[family];
  if (steps + 1 === published.length) return [...published.slice(0, -1), 0];
  const logs = Float32Array.from(published, Math.log);
  const places = linspace(0, published.length - 1, steps + 1);
  return [...interpolate(places, logs).slice(0, -1).map(Math.exp), 0];
}
