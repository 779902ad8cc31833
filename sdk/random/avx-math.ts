import { fma32 } from './float32.ts';

/**
 * `log`, `sin` and `cos` as ATen's `avx_mathfun.h` computes them (Cephes polynomials in f32 with
 * fused multiply-adds): torch's normal noise on PCs carries their last bits. A correctly rounded
 * libm differs in two values of three.
 */

const f = Math.fround;
const bits = new Uint32Array(1);
const float = new Float32Array(bits.buffer);

const SQRT_HALF = f(Math.SQRT1_2);
const LOG_POLY = [
  7.0376836292e-2, -1.151461031e-1, 1.167699874e-1, -1.2420140846e-1, 1.4249322787e-1,
  -1.6668057665e-1, 2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1,
].map(f);
const LN2_LOW = f(-2.1219444e-4);
const LN2_HIGH = 0.693359375;

/** Natural logarithm of a normal positive f32. */
export function logf(value: number): number {
  float[0] = value;
  let e = (bits[0] >>> 23) - 126;
  bits[0] = (bits[0] & 0x007fffff) | 0x3f000000;
  let x = float[0]; // the mantissa, in [0.5, 1)
  if (x < SQRT_HALF) {
    e -= 1;
    x = f(f(x - 1) + x);
  } else {
    x = f(x - 1);
  }
  const z = f(x * x);
  let y = LOG_POLY[0];
  for (let i = 1; i < LOG_POLY.length; i++) y = fma32(y, x, LOG_POLY[i]);
  y = f(y * x);
  y = fma32(y, z, f(e * LN2_LOW));
  y = fma32(-z, 0.5, y);
  return fma32(e, LN2_HIGH, f(x + y));
}

const FOUR_OVER_PI = f(1.27323954473516);
const [DP1, DP2, DP3] = [-0.78515625, -2.4187564849853516e-4, -3.774894977445941e-8].map(f);
const COS_POLY = [2.443315711809948e-5, -1.388731625493765e-3, 4.166664568e-2].map(f);
const SIN_POLY = [-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1].map(f);

/** `[sin, cos]` of a non-negative f32 angle. */
export function sincosf(angle: number): [number, number] {
  const j = (Math.trunc(f(angle * FOUR_OVER_PI)) + 1) & ~1; // the octant, rounded up to even
  let x = fma32(j, DP1, angle);
  x = fma32(j, DP2, x);
  x = fma32(j, DP3, x);
  const z = f(x * x);

  let c = COS_POLY[0];
  c = fma32(c, z, COS_POLY[1]);
  c = fma32(c, z, COS_POLY[2]);
  c = f(c * z);
  c = fma32(c, z, -f(z * 0.5));
  c = f(c + 1);

  let s = SIN_POLY[0];
  s = fma32(s, z, SIN_POLY[1]);
  s = fma32(s, z, SIN_POLY[2]);
  s = f(s * z);
  s = fma32(s, x, x);

  const [sin, cos] = j & 2 ? [c, s] : [s, c];
  return [j & 4 ? -sin : sin, ~(j - 2) & 4 ? -cos : cos];
}
