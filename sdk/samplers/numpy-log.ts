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
  2.589979117907922693523e-2, 3.808837741388407920751e-1, 1.480000633576506585156,
  2.112677543073053063722, 9.999999999999998702752e-1, 0,
].map(f);
const DENOMINATOR = [
  5.87509540312457434295e-3, 1.546476374983906719538e-1, 9.864942958519418960339e-1,
  2.453006071784736363091, 2.612677543073109236779, 1,
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
