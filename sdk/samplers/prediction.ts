import { divided, f, weightedSum } from './tensor.ts';
import { torchSqrt } from './torch-sqrt.ts';

/** How noisy a sample is: `x = alpha·x0 + sigma·ε`. */
export interface Level {
  readonly alpha: number;
  readonly sigma: number;
}

/**
 * What the model's output says about the clean picture x0 of a sample at a level of unit variance
 * (alpha² + sigma² = 1). `type` is the config's `prediction_type`: the output is ε ("epsilon"), x0
 * ("sample") or `alpha·ε − sigma·x0` ("v_prediction").
 */
export function predictOriginal(
  type: string,
  output: Float32Array,
  x: Float32Array,
  { alpha, sigma }: Level,
): Float32Array {
  if (type === 'sample') return output;
  if (type === 'v_prediction') return weightedSum([alpha, x], [-sigma, output]);
  return divided(weightedSum([1, x], [-sigma, output]), alpha);
}

/** The noise ε; see {@link predictOriginal}. */
export function predictNoise(
  type: string,
  output: Float32Array,
  x: Float32Array,
  level: Level,
): Float32Array {
  if (type === 'sample') return noiseOf(x, output, level);
  if (type === 'v_prediction') return weightedSum([level.alpha, output], [level.sigma, x]);
  return output;
}

/** The ε that makes `x` of a given x0. */
export function noiseOf(x: Float32Array, x0: Float32Array, { alpha, sigma }: Level): Float32Array {
  return divided(weightedSum([1, x], [-alpha, x0]), sigma);
}

/** x0 of an unscaled sample `x = x0 + sigma·ε`, as the samplers that work in σ have it. */
export function predictOriginalK(
  type: string,
  output: Float32Array,
  x: Float32Array,
  sigma: number,
): Float32Array {
  if (type === 'sample') return output;
  if (type === 'v_prediction') {
    const squared = f(f(sigma * sigma) + 1);
    const scaledSample = divided(x, squared);
    const coefficient = f(-sigma / torchSqrt(squared));
    return weightedSum([coefficient, output], [1, scaledSample]);
  }
  return weightedSum([1, x], [-sigma, output]);
}

/** The level at which the cumulative product of alphas is `alphaProduct`. */
export function levelOf(alphaProduct: number): Level {
  return { alpha: torchSqrt(alphaProduct), sigma: torchSqrt(f(1 - alphaProduct)) };
}

/** `original` with so much noise that it is at a level. */
export function mixNoise(
  original: Float32Array,
  noise: Float32Array,
  { alpha, sigma }: Level,
): Float32Array {
  return weightedSum([alpha, original], [sigma, noise]);
}
