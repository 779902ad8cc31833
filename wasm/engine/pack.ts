// Rows side by side: what the micro-kernel reads as A, and the widening of stored panels for B.
import { DTYPE_F16, SCALE_BYTES, SCALE_ROWS } from './layout';
import { at, HALF, widenHalf } from './math';
import { MR } from './tile';

/** Four rows of four floats, transposed, to `to`, `to + stride`, … */
// @ts-ignore: decorator
@inline
function transpose4(a: v128, b: v128, c: v128, d: v128, to: usize, stride: usize): void {
  const ab0 = v128.shuffle<f32>(a, b, 0, 4, 1, 5), ab1 = v128.shuffle<f32>(a, b, 2, 6, 3, 7);
  const cd0 = v128.shuffle<f32>(c, d, 0, 4, 1, 5), cd1 = v128.shuffle<f32>(c, d, 2, 6, 3, 7);
  v128.store(to, v128.shuffle<f64>(ab0, cd0, 0, 2));
  v128.store(to + stride, v128.shuffle<f64>(ab0, cd0, 1, 3));
  v128.store(to + 2 * stride, v128.shuffle<f64>(ab1, cd1, 0, 2));
  v128.store(to + 3 * stride, v128.shuffle<f64>(ab1, cd1, 1, 3));
}

/** Four rows of `count` floats to `[count][width]`, width = stride/4. */
function interleave4(a: usize, b: usize, c: usize, d: usize, count: i32, to: usize, stride: usize): void {
  for (; count >= 4; count -= 4) {
    transpose4(v128.load(a), v128.load(b), v128.load(c), v128.load(d), to, stride);
    a += 16; b += 16; c += 16; d += 16;
    to += 4 * stride;
  }
  for (; count > 0; count--) {
    store<f32>(to, load<f32>(a)); store<f32>(to, load<f32>(b), 4);
    store<f32>(to, load<f32>(c), 8); store<f32>(to, load<f32>(d), 12);
    a += 4; b += 4; c += 4; d += 4;
    to += stride;
  }
}

function interleave2(a: usize, b: usize, count: i32, to: usize, stride: usize): void {
  for (; count >= 4; count -= 4) {
    const x = v128.load(a), y = v128.load(b);
    const low = v128.shuffle<f32>(x, y, 0, 4, 1, 5), high = v128.shuffle<f32>(x, y, 2, 6, 3, 7);
    v128.store_lane<u64>(to, low, 0);
    v128.store_lane<u64>(to + stride, low, 1);
    v128.store_lane<u64>(to + 2 * stride, high, 0);
    v128.store_lane<u64>(to + 3 * stride, high, 1);
    a += 16; b += 16;
    to += 4 * stride;
  }
  for (; count > 0; count--) {
    store<f32>(to, load<f32>(a)); store<f32>(to, load<f32>(b), 4);
    a += 4; b += 4;
    to += stride;
  }
}

// @ts-ignore: decorator
@inline
function rowAt(table: usize, row: i32): usize {
  return load<u32>(table + (row << 2));
}

/** MR rows, whose addresses stand in `table`, each advanced by `offset` bytes, to `[count][MR]`. */
export function interleaveRows(table: usize, offset: usize, count: i32, to: usize): void {
  interleave4(rowAt(table, 0) + offset, rowAt(table, 1) + offset, rowAt(table, 2) + offset, rowAt(table, 3) + offset,
    count, to, MR * 4);
  if (MR == 6) interleave2(rowAt(table, 4) + offset, rowAt(table, 5) + offset, count, to + 16, MR * 4);
}

/** As `interleaveRows`, of four rows, to `[count][4]`. */
export function interleaveFour(table: usize, offset: usize, count: i32, to: usize): void {
  interleave4(rowAt(table, 0) + offset, rowAt(table, 1) + offset, rowAt(table, 2) + offset, rowAt(table, 3) + offset,
    count, to, 16);
}

/** Eight rows, whose addresses stand in `table`, to `[count][8]`. */
export function interleavePanel(table: usize, count: i32, to: usize): void {
  interleave4(rowAt(table, 0), rowAt(table, 1), rowAt(table, 2), rowAt(table, 3), count, to, 32);
  interleave4(rowAt(table, 4), rowAt(table, 5), rowAt(table, 6), rowAt(table, 7), count, to + 16, 32);
}

/** `count` (a multiple of 4) rows of a panel `[count][8]` as columns to eight rows: the reverse. */
export function spreadPanel(from: usize, count: i32, table: usize, offset: usize): void {
  for (let half = 0; half < 8; half += 4) {
    let a = rowAt(table, half) + offset, b = rowAt(table, half + 1) + offset;
    let c = rowAt(table, half + 2) + offset, d = rowAt(table, half + 3) + offset;
    let p = from + (half << 2);
    for (let n = count; n > 0; n -= 4) {
      const r0 = v128.load(p), r1 = v128.load(p, 32), r2 = v128.load(p, 64), r3 = v128.load(p, 96);
      const ab0 = v128.shuffle<f32>(r0, r1, 0, 4, 1, 5), ab1 = v128.shuffle<f32>(r0, r1, 2, 6, 3, 7);
      const cd0 = v128.shuffle<f32>(r2, r3, 0, 4, 1, 5), cd1 = v128.shuffle<f32>(r2, r3, 2, 6, 3, 7);
      v128.store(a, v128.shuffle<f64>(ab0, cd0, 0, 2));
      v128.store(b, v128.shuffle<f64>(ab0, cd0, 1, 3));
      v128.store(c, v128.shuffle<f64>(ab1, cd1, 0, 2));
      v128.store(d, v128.shuffle<f64>(ab1, cd1, 1, 3));
      p += 128;
      a += 16; b += 16; c += 16; d += 16;
    }
  }
}

/**
 * Rows `first` to `first + k` of a panel, f16 or int8, as f32.
 * @param from where the first of these rows lies
 * @param scales of the whole panel, where it is int8
 */
export function widenPanel(dtype: i32, from: usize, scales: usize, first: i32, k: i32, to: usize): void {
  const mask = at(HALF, 0), scale = at(HALF, 1), top = at(HALF, 2), infinite = at(HALF, 3);
  if (dtype == DTYPE_F16) {
    for (; k > 0; k--) {
      const h = v128.load(from);
      v128.store(to, widenHalf(i32x4.extend_low_i16x8_s(h), mask, scale, top, infinite));
      v128.store(to, widenHalf(i32x4.extend_high_i16x8_s(h), mask, scale, top, infinite), 16);
      from += 16;
      to += 32;
    }
    return;
  }
  const unit = f32x4.splat(1.0 / 128), end = first + k;
  while (first < end) {
    const block = first >> SCALE_ROWS, stop = min((block + 1) << SCALE_ROWS, end);
    const s = v128.load(scales + block * SCALE_BYTES);
    const s0 = f32x4.mul(widenHalf(i32x4.extend_low_i16x8_s(s), mask, scale, top, infinite), unit);
    const s1 = f32x4.mul(widenHalf(i32x4.extend_high_i16x8_s(s), mask, scale, top, infinite), unit);
    for (; first < stop; first++) {
      const h = v128.load_ext<i8>(from);
      v128.store(to, f32x4.mul(f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(h)), s0));
      v128.store(to, f32x4.mul(f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(h)), s1), 16);
      from += 8;
      to += 32;
    }
  }
}

/** Bytes of the scales of a panel `k` deep. */
// @ts-ignore: decorator
@inline
export function scaleStep(k: i32): usize {
  return ((k + (1 << SCALE_ROWS) - 1) >> SCALE_ROWS) * SCALE_BYTES;
}
