// Vector functions, good to about 1e-7 relative (gelu: to 1e-7 of the largest). `pmax` and `pmin`
// are one instruction on x86, where `max` and `min` take six; with x first they let NaN through.
import { ACT_GELU, ACT_QUICK_GELU, ACT_RELU, ACT_SILU, ACT_TANH } from './layout';

// @ts-ignore: decorator
@inline
export function fma(a: v128, b: v128, c: v128): v128 {
  return ASC_FEATURE_RELAXED_SIMD ? f32x4.relaxed_madd(a, b, c) : f32x4.add(f32x4.mul(a, b), c);
}

// V8 makes a constant vector anew, out of general registers, each time that a loop comes to it; with ten
// of them that takes longer than the arithmetic. A load takes one instruction, so they lie in memory.
// Every thread's instantiation writes the same numbers there again.
// @ts-ignore: decorator
@inline
export function at(table: usize, i: usize): v128 {
  return v128.load_splat<f32>(table + (i << 2));
}

/** Lower bound, 1.5·2^23, then the minimax polynomial of 2^f on [-1/2, 1/2]: 7.5e-8 relative (Remez). */
export const EXP2: usize = memory.data<f32>([
  -126, 12582912, 1.3276471992602875e-3, 9.6755413344516913e-3, 5.5507132734977614e-2,
  2.4022119723840046e-1, 6.9314696706476053e-1, 1.0000000716546849,
]);

/**
 * 2^x for x in [-126, 127.5]; smaller x gives 2^-126. The constants are those of EXP2, so that a loop can
 * keep them in registers.
 */
// @ts-ignore: decorator
@inline
export function exp2(
  x: v128, least: v128, magic: v128, p5: v128, p4: v128, p3: v128, p2: v128, p1: v128, p0: v128,
): v128 {
  x = f32x4.pmax(x, least);
  // Adding 1.5·2^23 rounds to the nearest integer and leaves it in the low bits.
  const shifted = f32x4.add(x, magic);
  const f = f32x4.sub(x, f32x4.sub(shifted, magic));
  let p = fma(f, p5, p4);
  p = fma(f, p, p3);
  p = fma(f, p, p2);
  p = fma(f, p, p1);
  p = fma(f, p, p0);
  return i32x4.add(p, i32x4.shl(shifted, 23));
}

/** Bounds, log2(e), 1.5·2^23, ln 2 in two parts (Cody and Waite), then Cephes' polynomial. */
const EXP: usize = memory.data<f32>([
  -87.3, 88, 1.44269504, 12582912, 0.693359375, -2.12194440e-4,
  1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1, 1,
]);

/** e^x, for x up to 88. */
// @ts-ignore: decorator
@inline
export function exp(x: v128): v128 {
  x = f32x4.pmin(f32x4.pmax(x, at(EXP, 0)), at(EXP, 1));
  const shifted = f32x4.add(f32x4.mul(x, at(EXP, 2)), at(EXP, 3));
  const n = f32x4.sub(shifted, at(EXP, 3));
  // ln 2 in two parts, so that n·ln 2 is taken off without loss.
  let f = f32x4.sub(x, f32x4.mul(n, at(EXP, 4)));
  f = f32x4.sub(f, f32x4.mul(n, at(EXP, 5)));
  let p = fma(f, at(EXP, 6), at(EXP, 7));
  p = fma(f, p, at(EXP, 8));
  p = fma(f, p, at(EXP, 9));
  p = fma(f, p, at(EXP, 10));
  p = fma(f, p, at(EXP, 11));
  p = fma(f32x4.mul(f, f), p, f32x4.add(f, at(EXP, 12)));
  return i32x4.add(p, i32x4.shl(shifted, 23));
}

function sigmoid(x: v128): v128 {
  const one = at(EXP, 12);
  return f32x4.div(one, f32x4.add(one, exp(f32x4.neg(x))));
}

/** √½ and ½; then of a rational erf (Eigen's `generic_fast_erf_float`, 3.6e-7) its bound, numerator and denominator. */
const ERF: usize = memory.data<f32>([
  0.70710678, 0.5, -3.832506856900711, 3.832506856900711,
  0.00022905065861350646, 0.0034082910107109506, 0.050955695062380861, 0.18520832239976145, 1.128379143519084,
  -1.1791602954361697e-7, 0.000023547966471313185, 0.0010179625278914885, 0.014070470171167667,
  0.11098505178285362, 0.49746925110067538, 1,
]);

/** x/2·(1 + erf(x/√2)): as exact as torch's, which cancels in the same tail (1.2e-6 absolute at most). */
// @ts-ignore: decorator
@inline
export function gelu(x: v128): v128 {
  const v = f32x4.pmin(f32x4.pmax(f32x4.mul(x, at(ERF, 0)), at(ERF, 2)), at(ERF, 3));
  const z = f32x4.mul(v, v);
  let p = fma(z, at(ERF, 4), at(ERF, 5));
  p = fma(z, p, at(ERF, 6));
  p = fma(z, p, at(ERF, 7));
  p = fma(z, p, at(ERF, 8));
  let q = fma(z, at(ERF, 9), at(ERF, 10));
  q = fma(z, q, at(ERF, 11));
  q = fma(z, q, at(ERF, 12));
  q = fma(z, q, at(ERF, 13));
  q = fma(z, q, at(ERF, 14));
  q = fma(z, q, at(ERF, 15));
  const half = f32x4.mul(x, at(ERF, 1));
  return fma(half, f32x4.div(f32x4.mul(v, p), q), half);
}

/** Cephes: a polynomial near zero, where 1 - e^-2x would cancel. */
function tanh(x: v128): v128 {
  const z = f32x4.mul(x, x);
  let p = fma(z, f32x4.splat(-5.70498872745e-3), f32x4.splat(2.06390887954e-2));
  p = fma(z, p, f32x4.splat(-5.37397155531e-2));
  p = fma(z, p, f32x4.splat(1.33314422036e-1));
  p = fma(z, p, f32x4.splat(-3.33332819422e-1));
  const near = fma(f32x4.mul(p, z), x, x);
  const size = f32x4.abs(x);
  const e = exp(f32x4.mul(size, f32x4.splat(-2)));
  const one = f32x4.splat(1);
  const far = f32x4.div(f32x4.sub(one, e), f32x4.add(one, e));
  const signed = v128.bitselect(x, far, i32x4.splat(0x80000000));
  return v128.bitselect(near, signed, f32x4.lt(size, f32x4.splat(0.625)));
}

export function activate(x: v128, kind: i32): v128 {
  switch (kind) {
    case ACT_SILU:
      return f32x4.mul(x, sigmoid(x));
    case ACT_GELU:
      return gelu(x);
    case ACT_QUICK_GELU:
      return f32x4.mul(x, sigmoid(f32x4.mul(x, f32x4.splat(1.702))));
    case ACT_RELU:
      return f32x4.pmax(x, f32x4.splat(0));
    case ACT_TANH:
      return tanh(x);
    default:
      return x;
  }
}

/** `count` (under 4) floats at the low end of a vector, zeros above. */
export function loadPart(from: usize, count: i32): v128 {
  let v = f32x4.splat(0);
  if (count > 0) v = f32x4.replace_lane(v, 0, load<f32>(from));
  if (count > 1) v = f32x4.replace_lane(v, 1, load<f32>(from, 4));
  if (count > 2) v = f32x4.replace_lane(v, 2, load<f32>(from, 8));
  return v;
}

export function storePart(to: usize, v: v128, count: i32): void {
  if (count > 0) store<f32>(to, f32x4.extract_lane(v, 0));
  if (count > 1) store<f32>(to, f32x4.extract_lane(v, 1), 4);
  if (count > 2) store<f32>(to, f32x4.extract_lane(v, 2), 8);
}

/** Sign with exponent and fraction in their places, 2^112, the exponent of what is not finite, as f16 and f32. */
export const HALF: usize = memory.data<u32>([0x8fffffff, 0x77800000, 0x0f800000, 0x7f800000]);

/**
 * Four f16, each extended to 32 bits with its sign, as f32. Subnormals, infinities and NaN are kept. The
 * constants are those of HALF, so that a loop can keep them in registers.
 */
// @ts-ignore: decorator
@inline
export function widenHalf(h: v128, mask: v128, scale: v128, top: v128, infinite: v128): v128 {
  const bits = i32x4.shl(h, 13);
  // The exponent is off by 112: multiplying by 2^112 mends it, for subnormals too.
  const finite = f32x4.mul(v128.and(bits, mask), scale);
  const special = i32x4.eq(v128.and(bits, top), top);
  return v128.or(finite, v128.and(special, infinite));
}
