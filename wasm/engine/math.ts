// Vector functions, good to about 1e-7 relative (2e-6 deep in the tails of gelu). `pmax` and `pmin`
// are one instruction on x86, where `max` and `min` take six; with x first they let NaN through.
import { ACT_GELU, ACT_QUICK_GELU, ACT_RELU, ACT_SILU, ACT_TANH } from './layout';

// @ts-ignore: decorator
@inline
export function fma(a: v128, b: v128, c: v128): v128 {
  return ASC_FEATURE_RELAXED_SIMD ? f32x4.relaxed_madd(a, b, c) : f32x4.add(f32x4.mul(a, b), c);
}

/** 2^x for x in [-126, 127.5]; smaller x gives 2^-126. */
// @ts-ignore: decorator
@inline
export function exp2(x: v128): v128 {
  x = f32x4.pmax(x, f32x4.splat(-126));
  // Adding 1.5·2^23 rounds to the nearest integer and leaves it in the low bits.
  const shifted = f32x4.add(x, f32x4.splat(12582912));
  const f = f32x4.sub(x, f32x4.sub(shifted, f32x4.splat(12582912)));
  // Minimax polynomial of 2^f on [-1/2, 1/2]: 7.5e-8 relative (Remez).
  let p = fma(f, f32x4.splat(1.3276471992602875e-3), f32x4.splat(9.6755413344516913e-3));
  p = fma(f, p, f32x4.splat(5.5507132734977614e-2));
  p = fma(f, p, f32x4.splat(2.4022119723840046e-1));
  p = fma(f, p, f32x4.splat(6.9314696706476053e-1));
  p = fma(f, p, f32x4.splat(1.0000000716546849));
  return i32x4.add(p, i32x4.shl(shifted, 23));
}

/** e^x, for x up to 88. */
// @ts-ignore: decorator
@inline
export function exp(x: v128): v128 {
  x = f32x4.pmin(f32x4.pmax(x, f32x4.splat(-87.3)), f32x4.splat(88));
  const shifted = f32x4.add(f32x4.mul(x, f32x4.splat(1.44269504)), f32x4.splat(12582912));
  const n = f32x4.sub(shifted, f32x4.splat(12582912));
  // ln 2 in two parts, so that n·ln 2 is taken off without loss (Cody and Waite).
  let f = f32x4.sub(x, f32x4.mul(n, f32x4.splat(0.693359375)));
  f = f32x4.sub(f, f32x4.mul(n, f32x4.splat(-2.12194440e-4)));
  let p = fma(f, f32x4.splat(1.9875691500e-4), f32x4.splat(1.3981999507e-3));
  p = fma(f, p, f32x4.splat(8.3334519073e-3));
  p = fma(f, p, f32x4.splat(4.1665795894e-2));
  p = fma(f, p, f32x4.splat(1.6666665459e-1));
  p = fma(f, p, f32x4.splat(5.0000001201e-1));
  p = fma(f32x4.mul(f, f), p, f32x4.add(f, f32x4.splat(1)));
  return i32x4.add(p, i32x4.shl(shifted, 23));
}

function sigmoid(x: v128): v128 {
  return f32x4.div(f32x4.splat(1), f32x4.add(f32x4.splat(1), exp(f32x4.neg(x))));
}

/** x·Φ(x), with erfc by Numerical Recipes' Chebyshev fit (1.2e-7 relative everywhere). */
export function gelu(x: v128): v128 {
  const z = f32x4.mul(f32x4.abs(x), f32x4.splat(0.70710678));
  const t = f32x4.div(f32x4.splat(1), fma(z, f32x4.splat(0.5), f32x4.splat(1)));
  let p = fma(t, f32x4.splat(0.17087277), f32x4.splat(-0.82215223));
  p = fma(t, p, f32x4.splat(1.48851587));
  p = fma(t, p, f32x4.splat(-1.13520398));
  p = fma(t, p, f32x4.splat(0.27886807));
  p = fma(t, p, f32x4.splat(-0.18628806));
  p = fma(t, p, f32x4.splat(0.09678418));
  p = fma(t, p, f32x4.splat(0.37409196));
  p = fma(t, p, f32x4.splat(1.00002368));
  p = fma(t, p, f32x4.splat(-1.26551223));
  const half = f32x4.mul(f32x4.mul(t, f32x4.splat(0.5)), exp(f32x4.sub(p, f32x4.mul(z, z))));
  const phi = v128.bitselect(half, f32x4.sub(f32x4.splat(1), half), f32x4.lt(x, f32x4.splat(0)));
  return f32x4.mul(x, phi);
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

/** Four f16 in the low halves of 32-bit lanes, as f32. Subnormals, infinities and NaN are kept. */
// @ts-ignore: decorator
@inline
export function widenHalf(h: v128): v128 {
  const sign = i32x4.shl(v128.and(h, i32x4.splat(0x8000)), 16);
  const bits = i32x4.shl(v128.and(h, i32x4.splat(0x7fff)), 13);
  // The exponent is off by 112: multiplying by 2^112 mends it, for subnormals too.
  const scaled = f32x4.mul(bits, f32x4.splat(5.192296858534828e33));
  const special = i32x4.ge_s(bits, i32x4.splat(0x0f800000));
  return v128.or(v128.or(scaled, sign), v128.and(special, i32x4.splat(0x7f800000)));
}
