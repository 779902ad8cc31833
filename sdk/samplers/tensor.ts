/**
 * Elementwise arithmetic with torch's rounding: scalars are f32, and every operation rounds to f32.
 */
/** Rounds to f32. */
export const f = Math.fround;

type Term = readonly [coefficient: number, tensor: Float32Array];

/** `c0·x0 + c1·x1 + …`, summed from left to right. */
export function weightedSum(first: Term, ...rest: readonly Term[]): Float32Array {
  const sum = scaled(first[1], first[0]);
  for (const [coefficient, tensor] of rest) {
    const c = f(coefficient);
    for (let i = 0; i < sum.length; i++) sum[i] += f(c * tensor[i]);
  }
  return sum;
}

/** `x · c` */
export function scaled(x: Float32Array, coefficient: number): Float32Array {
  const c = f(coefficient);
  return x.map((value) => c * value);
}

/** `x / c` */
export function divided(x: Float32Array, divisor: number): Float32Array {
  const c = f(divisor);
  return x.map((value) => value / c);
}

/** `a + b` */
export function sum(a: Float32Array, b: Float32Array): Float32Array {
  return a.map((value, i) => value + b[i]);
}

/** `a − b` */
export function difference(a: Float32Array, b: Float32Array): Float32Array {
  return a.map((value, i) => value - b[i]);
}

/** `x` held within ±`limit`. */
export function clamped(x: Float32Array, limit: number): Float32Array {
  const bound = f(limit);
  return x.map((value) => Math.min(Math.max(value, -bound), bound));
}
