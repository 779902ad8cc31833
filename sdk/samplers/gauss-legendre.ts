/** Gauss-Legendre quadrature of order 32: exact for polynomials up to degree 63. */
const ORDER = 32;
const NODES: number[] = [];
const WEIGHTS: number[] = [];
// The nodes are the roots of a Legendre polynomial, found by Newton's method.
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

/** ∫ `integrand` from `from` to `to`. */
export function integrate(integrand: (x: number) => number, from: number, to: number): number {
  const [middle, half] = [(from + to) / 2, (to - from) / 2];
  const values = NODES.map((node, i) => WEIGHTS[i] * integrand(middle + half * node));
  return half * values.reduce((a, b) => a + b);
}
