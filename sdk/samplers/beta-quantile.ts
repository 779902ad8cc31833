/**
 * The quantile function of the distribution Beta(0.6, 0.6), by which "beta" σ are spaced.
 *
 * With `x = w⁵/2` (w in 0 … 1 covers x in 0 … ½) the density's `x^−0.4 dx` becomes `w² dw`, which
 * leaves a smooth integrand for Gauss-Legendre; the distribution function is inverted by bisection.
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

/** The unnormalised distribution function at `x = w⁵/2`. */
function lowerHalf(w: number): number {
  let total = 0;
  for (let i = 0; i < NODES.length; i++) {
    const v = (w * (1 + NODES[i])) / 2;
    total += WEIGHTS[i] * v ** 2 * (1 - v ** 5 / 2) ** -0.4;
  }
  return total * w;
}

// Gauss-Legendre: the roots of a Legendre polynomial by Newton's method.
const ORDER = 32;
const NODES: number[] = [];
const WEIGHTS: number[] = [];
for (let i = 0; i < ORDER; i++) {
  let x = Math.cos((Math.PI * (i + 0.75)) / (ORDER + 0.5));
  let slope = 1;
  for (let iteration = 0; iteration < 8; iteration++) {
    let [p0, p1] = [1, x];
    for (let n = 2; n <= ORDER; n++) [p0, p1] = [p1, ((2 * n - 1) * x * p1 - (n - 1) * p0) / n];
    slope = (ORDER * (x * p1 - p0)) / (x * x - 1);
    x -= p1 / slope;
  }
  NODES.push(x);
  WEIGHTS.push(2 / ((1 - x * x) * slope * slope));
}
