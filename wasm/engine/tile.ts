// The micro-kernel: an MR×8 block of C from MR packed rows of A and one panel of B.
import { fma } from './math';

/** Rows of a block. Sixteen vector registers hold 12 accumulators with fused multiply-add, 8 without. */
export const MR: i32 = ASC_FEATURE_RELAXED_SIMD ? 6 : 4;
/** Bytes of one block of accumulators. */
export const BLOCK: usize = ASC_FEATURE_RELAXED_SIMD ? 192 : 128;

/**
 * C (+)= A·B. a `[k][MR]`, b `[k][8]`, c `[MR][8]`; `add` keeps what c holds.
 */
export function tile(k: i32, a: usize, b: usize, c: usize, add: bool): void {
  if (ASC_FEATURE_RELAXED_SIMD) tile6(k, a, b, c, add);
  else tile4(k, a, b, c, add);
}

// @ts-ignore: decorator
@inline
function tile6(k: i32, a: usize, b: usize, c: usize, add: bool): void {
  let c00 = f32x4.splat(0), c01 = c00, c10 = c00, c11 = c00, c20 = c00, c21 = c00;
  let c30 = c00, c31 = c00, c40 = c00, c41 = c00, c50 = c00, c51 = c00;
  if (add) {
    c00 = v128.load(c); c01 = v128.load(c, 16);
    c10 = v128.load(c, 32); c11 = v128.load(c, 48);
    c20 = v128.load(c, 64); c21 = v128.load(c, 80);
    c30 = v128.load(c, 96); c31 = v128.load(c, 112);
    c40 = v128.load(c, 128); c41 = v128.load(c, 144);
    c50 = v128.load(c, 160); c51 = v128.load(c, 176);
  }
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
    x = v128.load_splat<f32>(a, 16);
    c40 = fma(x, b0, c40); c41 = fma(x, b1, c41);
    x = v128.load_splat<f32>(a, 20);
    c50 = fma(x, b0, c50); c51 = fma(x, b1, c51);
    a += 24;
    b += 32;
  }
  v128.store(c, c00); v128.store(c, c01, 16);
  v128.store(c, c10, 32); v128.store(c, c11, 48);
  v128.store(c, c20, 64); v128.store(c, c21, 80);
  v128.store(c, c30, 96); v128.store(c, c31, 112);
  v128.store(c, c40, 128); v128.store(c, c41, 144);
  v128.store(c, c50, 160); v128.store(c, c51, 176);
}

// @ts-ignore: decorator
@inline
function tile4(k: i32, a: usize, b: usize, c: usize, add: bool): void {
  let c00 = f32x4.splat(0), c01 = c00, c10 = c00, c11 = c00;
  let c20 = c00, c21 = c00, c30 = c00, c31 = c00;
  if (add) {
    c00 = v128.load(c); c01 = v128.load(c, 16);
    c10 = v128.load(c, 32); c11 = v128.load(c, 48);
    c20 = v128.load(c, 64); c21 = v128.load(c, 80);
    c30 = v128.load(c, 96); c31 = v128.load(c, 112);
  }
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
  v128.store(c, c00); v128.store(c, c01, 16);
  v128.store(c, c10, 32); v128.store(c, c11, 48);
  v128.store(c, c20, 64); v128.store(c, c21, 80);
  v128.store(c, c30, 96); v128.store(c, c31, 112);
}
