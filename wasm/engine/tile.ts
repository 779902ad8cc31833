// The micro-kernel: an MR×8 block of C from MR packed rows of A and one panel of B. Both are written out,
// row by row, since asc unrolls no loop and has no arrays that stay in registers. The loop is written as V8
// likes it best: with two steps of k a turn it spills accumulators (a third slower), and so does the V8 of
// Node 20 with `do while` (half as fast).
import { fma } from './math';

/** Rows of a block. Sixteen vector registers hold 12 accumulators with fused multiply-add, 8 without. */
export const MR: i32 = ASC_FEATURE_RELAXED_SIMD ? 6 : 4;
/** Bytes of one block of accumulators. */
export const BLOCK: usize = ASC_FEATURE_RELAXED_SIMD ? 192 : 128;

/** Bytes of a row of a block of accumulators. */
export const ROW: usize = 32;

/**
 * MR rows of 8: those at `to`, `pitch` bytes apart, become those at `from`, `step` bytes apart, plus A·B.
 * a `[k][MR]`, b `[k][8]`. A step of 0 starts every row from the same one: zeros, or a bias.
 */
export function tile(k: i32, a: usize, b: usize, from: usize, step: usize, to: usize, pitch: usize): void {
  if (ASC_FEATURE_RELAXED_SIMD) tile6(k, a, b, from, step, to, pitch);
  else tile4(k, a, b, from, step, to, pitch);
}

/** As `tile`, with four rows: a `[k][4]`. */
export function tileOfFour(k: i32, a: usize, b: usize, from: usize, step: usize, to: usize, pitch: usize): void {
  if (MR == 4) tile(k, a, b, from, step, to, pitch);
  else tile4(k, a, b, from, step, to, pitch);
}

// @ts-ignore: decorator
@inline
function tile6(k: i32, a: usize, b: usize, from: usize, step: usize, to: usize, pitch: usize): void {
  let c00 = v128.load(from), c01 = v128.load(from, 16);
  from += step;
  let c10 = v128.load(from), c11 = v128.load(from, 16);
  from += step;
  let c20 = v128.load(from), c21 = v128.load(from, 16);
  from += step;
  let c30 = v128.load(from), c31 = v128.load(from, 16);
  from += step;
  let c40 = v128.load(from), c41 = v128.load(from, 16);
  from += step;
  let c50 = v128.load(from), c51 = v128.load(from, 16);
  const end = a + k * 24;
  while (a < end) {
    const b0 = v128.load(b), b1 = v128.load(b, 16);
    let x = v128.load_splat<f32>(a);
    c00 = fma(x, b0, c00); c01 = fma(x, b1, c01);
    x = v128.load_splat<f32>(a, 4);
    c10 = fma(x, b0, c10); c11 = fma(x, b1, c11);
    x = v128.load_splat<f32>(a, 8);
    c20 = fma(x, b0, c20); c21 = fma(x, b1, c21);
    x = v128.load_splat<f32>(a, 12);
    c30 = fma(x, b0, c30); c31 = fma(x, b1, c31);
    x = v128.load_splat<f32>(a, 16);
    c40 = fma(x, b0, c40); c41 = fma(x, b1, c41);
    x = v128.load_splat<f32>(a, 20);
    c50 = fma(x, b0, c50); c51 = fma(x, b1, c51);
    a += 24;
    b += 32;
  }
  v128.store(to, c00); v128.store(to, c01, 16);
  to += pitch;
  v128.store(to, c10); v128.store(to, c11, 16);
  to += pitch;
  v128.store(to, c20); v128.store(to, c21, 16);
  to += pitch;
  v128.store(to, c30); v128.store(to, c31, 16);
  to += pitch;
  v128.store(to, c40); v128.store(to, c41, 16);
  to += pitch;
  v128.store(to, c50); v128.store(to, c51, 16);
}

// @ts-ignore: decorator
@inline
function tile4(k: i32, a: usize, b: usize, from: usize, step: usize, to: usize, pitch: usize): void {
  let c00 = v128.load(from), c01 = v128.load(from, 16);
  from += step;
  let c10 = v128.load(from), c11 = v128.load(from, 16);
  from += step;
  let c20 = v128.load(from), c21 = v128.load(from, 16);
  from += step;
  let c30 = v128.load(from), c31 = v128.load(from, 16);
  for (; k > 0; k--) {
    const b0 = v128.load(b), b1 = v128.load(b, 16);
    let x = v128.load_splat<f32>(a);
    c00 = fma(x, b0, c00); c01 = fma(x, b1, c01);
    x = v128.load_splat<f32>(a, 4);
    c10 = fma(x, b0, c10); c11 = fma(x, b1, c11);
    x = v128.load_splat<f32>(a, 8);
    c20 = fma(x, b0, c20); c21 = fma(x, b1, c21);
    x = v128.load_splat<f32>(a, 12);
    c30 = fma(x, b0, c30); c31 = fma(x, b1, c31);
    a += 16;
    b += 32;
  }
  v128.store(to, c00); v128.store(to, c01, 16);
  to += pitch;
  v128.store(to, c10); v128.store(to, c11, 16);
  to += pitch;
  v128.store(to, c20); v128.store(to, c21, 16);
  to += pitch;
  v128.store(to, c30); v128.store(to, c31, 16);
}
