import { clamped, f } from './tensor.ts';

/** The settings by which x0 is kept in range; latents of Stable Diffusion mostly use none. */
export const thresholdDefaults = {
  thresholding: false,
  dynamic_thresholding_ratio: 0.995,
  sample_max_value: 1,
};

export interface LimitConfig extends Partial<typeof thresholdDefaults> {
  readonly clip_sample?: boolean;
  readonly clip_sample_range?: number;
}

/** x0 after Imagen's dynamic thresholding, after plain clipping, or as it is. */
export function limitPrediction(
  x0: Float32Array,
  config: LimitConfig,
  shape: readonly number[],
): Float32Array {
  if (config.thresholding)
    return dynamicThreshold(x0, { ...thresholdDefaults, ...config }, shape[0]);
  if (config.clip_sample) return clamped(x0, config.clip_sample_range ?? 1);
  return x0;
}

/** Each picture of the batch is clipped at a high quantile of its own |x0| and divided by it. */
function dynamicThreshold(
  x0: Float32Array,
  config: typeof thresholdDefaults,
  batch: number,
): Float32Array {
  const out = new Float32Array(x0.length);
  const size = x0.length / batch;
  for (let start = 0; start < x0.length; start += size) {
    const picture = x0.subarray(start, start + size);
    const level = quantile(picture.map(Math.abs).sort(), config.dynamic_thresholding_ratio);
    const limit = f(Math.min(Math.max(level, 1), config.sample_max_value));
    out.set(
      clamped(picture, limit).map((value) => value / limit),
      start,
    );
  }
  return out;
}

/** `torch.quantile` of sorted values, with linear interpolation. */
function quantile(sorted: Float32Array, ratio: number): number {
  const rank = f(f(ratio) * (sorted.length - 1));
  const below = sorted[Math.floor(rank)];
  const above = sorted[Math.ceil(rank)];
  const weight = rank - Math.floor(rank);
  const range = f(above - below);
  // torch's lerp starts from the nearer end.
  return weight < 0.5 ? f(below + f(weight * range)) : f(above - f(range * f(1 - weight)));
}
