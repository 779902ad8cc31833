import { integrateLikeQuad } from './gauss-kronrod.ts';

/**
 * The quantile function of the distribution Beta(0.6, 0.6), by which "beta" σ are spaced.
 *
 * With `x = w⁵/2` (w in 0 … 1 covers x in 0 … ½) the density's `x^−0.4 dx` becomes `w² dw`, which
 * leaves a smooth integrand for the quadrature; the distribution function is inverted by bisection.
 */
export function betaQuantile(probability: number): number {
  if (probability <= 0) return 0;
  if (probability >= 1) return 1;
  if (probability > 0.5) return 1 - betaQuantile(1 - probability);
  const target = 2 * probability * lowerHalf(1);
  let [low, high] = [0, 1];
  for (let i = 0; i < 60; i++) {
    const middle = (low + high) / 2;
    if (lowerHalf(middle) < target) low = middle;
    else high = middle;
  }
  return low ** 5 / 2;
}

/** The unnormalised distribution function at `x = w⁵/2`: in two halves 21 points each are exact. */
function lowerHalf(w: number): number {
  const density = (v: number) => v ** 2 * (1 - v ** 5 / 2) ** -0.4;
  return integrateLikeQuad(density, 0, w / 2) + integrateLikeQuad(density, w / 2, w);
}
