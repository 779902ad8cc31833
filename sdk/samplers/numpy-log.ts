import { fma32 } from '../random/float32.ts';
import { bitsOf, ofBits } from './float-bits.ts';
import { f } from './tensor.ts';

/**
 * `numpy.log` of a float32, bit for bit where NumPy has SIMD (AVX2 on): a rational function of the
 * mantissa in √½ … √2, less 1, in fused operations (its `loops_exponent_log`). One value in seven is
 * rounded otherwise than by IEEE. diffusers takes it for DEIS and for the timesteps of its σ.
 */

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
  const bits = bitsOf(value);
  let exponent = (bits >> 23) - 127;
  let mantissa = ofBits((bits & 0x7fffff) | 0x3f800000);
  if (mantissa > SQRT2) {
    mantissa /= 2;
    exponent++;
  }
  const x = f(mantissa - 1);
  return fma32(exponent, LN2, f(horner(NUMERATOR, x) / horner(DENOMINATOR, x)));
}
