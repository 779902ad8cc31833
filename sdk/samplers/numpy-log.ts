import { fma32 } from '../random/float32.ts';

/**
 * `numpy.log` of a float32, bit for bit where NumPy has SIMD (AVX2 on): a rational function of the
 * mantissa in √½ … √2, less 1, in fused operations (its `loops_exponent_log`). One value in seven is
 * rounded otherwise than by IEEE. diffusers takes it for DEIS and for the timesteps of its σ.
 */
const f = Math.fround;
const bits = new Int32Array(1);
const float = new Float32Array(bits.buffer);

/** From the highest power down. */
const NUMERATOR = [
  0.025899791179079226, 0.3808837741388408, 1.4800006335765066, 2.112677543073053,
  0.9999999999999999, 0,
].map(f);
const DENOMINATOR = [
  0.005875095403124574, 0.15464763749839067, 0.9864942958519419, 2.453006071784736,
  2.6126775430731093, 1,
].map(f);
const LN2 = f(Math.LN2);
const SQRT2 = f(Math.SQRT2);

const horner = (coefficients: readonly number[], x: number): number =>
  coefficients.slice(1).reduce((sum, c) => fma32(sum, x, c), coefficients[0]);

/** log of a normal positive f32; −∞ for 0. */
export function numpyLog(value: number): number {
  if (!(value > 0 && value < Infinity)) return Math.log(value);
  float[0] = value;
  let exponent = (bits[0] >> 23) - 127;
  bits[0] = (bits[0] & 0x7fffff) | 0x3f800000;
  let mantissa = float[0];
  if (mantissa > SQRT2) {
    mantissa /= 2;
    exponent++;
  }
  const x = f(mantissa - 1);
  return fma32(exponent, LN2, f(horner(NUMERATOR, x) / horner(DENOMINATOR, x)));
}
