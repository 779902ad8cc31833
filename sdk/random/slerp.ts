import { elementCount } from './generator.ts';

const f = Math.fround;

/**
 * Spherical interpolation from `low` (weight 0) to `high` (weight 1), for variations of a seed.
 *
 * As A1111's `rng.slerp`, whose vectors run along dimension 1. A1111 hands it one picture's noise of
 * shape `[4, h, w]`, so vectors are columns of the picture; pass that shape for the same variations.
 */
export function slerp(
  weight: number,
  low: Float32Array,
  high: Float32Array,
  shape: readonly number[],
): Float32Array {
  const [outer, length, ...rest] = shape;
  const inner = elementCount(rest);
  const vectors = outer * inner;
  const start = (v: number) => Math.floor(v / inner) * length * inner + (v % inner);

  const dots = new Float32Array(vectors);
  for (let v = 0; v < vectors; v++) {
    let lowSquared = 0;
    let highSquared = 0;
    let product = 0;
    for (let k = 0, i = start(v); k < length; k++, i += inner) {
      lowSquared += low[i] * low[i];
      highSquared += high[i] * high[i];
      product += low[i] * high[i];
    }
    dots[v] = product / Math.sqrt(lowSquared * highSquared);
  }

  const out = new Float32Array(low.length);
  const nearlyParallel = dots.reduce((sum, dot) => sum + dot, 0) / vectors > 0.9995;
  for (let v = 0; v < vectors; v++) {
    const omega = Math.acos(dots[v]);
    const sine = Math.sin(omega);
    // A1111's straight line runs the other way round; there both ends are all but the same.
    const a = nearlyParallel ? weight : f(Math.sin((1 - weight) * omega) / sine);
    const b = nearlyParallel ? 1 - weight : f(Math.sin(weight * omega) / sine);
    for (let k = 0, i = start(v); k < length; k++, i += inner) {
      out[i] = f(a * low[i]) + f(b * high[i]);
    }
  }
  return out;
}
