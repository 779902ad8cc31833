// Group norm in three instructions (partial moments, their union, application) and layer norm in one.
import {
  ACT, BATCH_ROWS, BIAS, C0, C1, CHUNKS, EPS, GROUPS, OUT, PARTIALS, ROWS, SKIP, STATS, TILE_ROWS, WEIGHT, X,
} from './layout';
import { activate, loadPart, storePart } from './math';

/**
 * Per channel, over one chunk of pixels: the mean, and the sum of squares around that mean. One tile
 * is one chunk of one batch entry.
 */
export function normPartialTile(op: usize, index: i32): void {
  const chunks = load<i32>(op, CHUNKS), batchRows = load<i32>(op, BATCH_ROWS);
  const batch = index / chunks;
  const first = (index - batch * chunks) * load<i32>(op, TILE_ROWS);
  const rows = min(load<i32>(op, TILE_ROWS), batchRows - first);
  const row: usize = batch * batchRows + first;
  const c0 = load<i32>(op, C0), c1 = load<i32>(op, C1), channels = c0 + c1;
  const to = load<usize>(op, PARTIALS) + <usize>index * (channels << 3);
  moments(load<usize>(op, X) + row * (c0 << 2), c0, rows, to, channels);
  moments(load<usize>(op, SKIP) + row * (c1 << 2), c1, rows, to + (c0 << 2), channels);
}

function moments(from: usize, channels: i32, rows: i32, to: usize, gap: i32): void {
  const pitch: usize = channels << 2, squares: usize = gap << 2;
  const scale = f32x4.splat(1 / <f32>rows);
  let c = 0;
  for (; c + 16 <= channels; c += 16, from += 64, to += 64) {
    let s0 = f32x4.splat(0), s1 = s0, s2 = s0, s3 = s0;
    for (let i = rows, p = from; i > 0; i--, p += pitch) {
      s0 = f32x4.add(s0, v128.load(p));
      s1 = f32x4.add(s1, v128.load(p, 16));
      s2 = f32x4.add(s2, v128.load(p, 32));
      s3 = f32x4.add(s3, v128.load(p, 48));
    }
    const m0 = f32x4.mul(s0, scale), m1 = f32x4.mul(s1, scale);
    const m2 = f32x4.mul(s2, scale), m3 = f32x4.mul(s3, scale);
    s0 = s1 = s2 = s3 = f32x4.splat(0);
    for (let i = rows, p = from; i > 0; i--, p += pitch) {
      const d0 = f32x4.sub(v128.load(p), m0), d1 = f32x4.sub(v128.load(p, 16), m1);
      const d2 = f32x4.sub(v128.load(p, 32), m2), d3 = f32x4.sub(v128.load(p, 48), m3);
      s0 = f32x4.add(s0, f32x4.mul(d0, d0));
      s1 = f32x4.add(s1, f32x4.mul(d1, d1));
      s2 = f32x4.add(s2, f32x4.mul(d2, d2));
      s3 = f32x4.add(s3, f32x4.mul(d3, d3));
    }
    v128.store(to, m0); v128.store(to, m1, 16); v128.store(to, m2, 32); v128.store(to, m3, 48);
    const q = to + squares;
    v128.store(q, s0); v128.store(q, s1, 16); v128.store(q, s2, 32); v128.store(q, s3, 48);
  }
  for (; c < channels; c += 4, from += 16, to += 16) {
    const count = min(4, channels - c);
    let s = f32x4.splat(0);
    for (let i = rows, p = from; i > 0; i--, p += pitch) s = f32x4.add(s, part(p, count));
    const m = f32x4.mul(s, scale);
    s = f32x4.splat(0);
    for (let i = rows, p = from; i > 0; i--, p += pitch) {
      const d = f32x4.sub(part(p, count), m);
      s = f32x4.add(s, f32x4.mul(d, d));
    }
    putPart(to, m, count);
    putPart(to + squares, s, count);
  }
}

// @ts-ignore: decorator
@inline
function part(from: usize, count: i32): v128 {
  return count == 4 ? v128.load(from) : loadPart(from, count);
}

// @ts-ignore: decorator
@inline
function putPart(to: usize, v: v128, count: i32): void {
  if (count == 4) v128.store(to, v);
  else storePart(to, v, count);
}

/** One tile: one group of one batch entry. Moments of the chunks are joined in float64 (Chan 1979). */
export function normFinishTile(op: usize, index: i32): void {
  const groups = load<i32>(op, GROUPS), chunks = load<i32>(op, CHUNKS);
  const channels = load<i32>(op, C0) + load<i32>(op, C1), width = channels / groups;
  const batch = index / groups, first = (index - batch * groups) * width;
  const batchRows = load<i32>(op, BATCH_ROWS), tileRows = load<i32>(op, TILE_ROWS);
  const from = load<usize>(op, PARTIALS) + <usize>batch * chunks * (channels << 3) + (first << 2);
  const step: usize = channels << 3, squares: usize = channels << 2;
  let sum: f64 = 0;
  for (let i = 0, p = from; i < chunks; i++, p += step) {
    const rows = min(tileRows, batchRows - i * tileRows);
    for (let c = 0; c < width; c++) sum += <f64>load<f32>(p + (c << 2)) * <f64>rows;
  }
  const count = <f64>batchRows * <f64>width;
  const mean = sum / count;
  let square: f64 = 0;
  for (let i = 0, p = from; i < chunks; i++, p += step) {
    const rows = min(tileRows, batchRows - i * tileRows);
    for (let c = 0; c < width; c++) {
      const d = <f64>load<f32>(p + (c << 2)) - mean;
      square += <f64>load<f32>(p + squares + (c << 2)) + d * d * <f64>rows;
    }
  }
  const rstd = 1 / sqrt<f64>(square / count + <f64>load<f32>(op, EPS));
  const weight = load<usize>(op, WEIGHT) + (first << 2), bias = load<usize>(op, BIAS) + (first << 2);
  const to = load<usize>(op, STATS) + <usize>batch * step + (first << 2);
  for (let c: usize = 0; c < <usize>width << 2; c += 4) {
    const scale = rstd * <f64>load<f32>(weight + c);
    store<f32>(to + c, <f32>scale);
    store<f32>(to + squares + c, <f32>(<f64>load<f32>(bias + c) - mean * scale));
  }
}

/** `activation(x·scale + shift)`. One tile: TILE_ROWS pixels. */
export function normApplyTile(op: usize, index: i32): void {
  const first = index * load<i32>(op, TILE_ROWS);
  const end = min(first + load<i32>(op, TILE_ROWS), load<i32>(op, ROWS));
  const c0 = load<i32>(op, C0), c1 = load<i32>(op, C1), channels = c0 + c1;
  const act = load<i32>(op, ACT);
  let x = load<usize>(op, X) + <usize>first * (c0 << 2);
  let skip = load<usize>(op, SKIP) + <usize>first * (c1 << 2);
  let to = load<usize>(op, OUT) + <usize>first * (channels << 2);
  for (let row = first; row < end; row++) {
    const stats = load<usize>(op, STATS) + <usize>(row / load<i32>(op, BATCH_ROWS)) * (channels << 3);
    const shift = stats + (channels << 2);
    affine(x, c0, stats, shift, act, to);
    affine(skip, c1, stats + (c0 << 2), shift + (c0 << 2), act, to + (c0 << 2));
    x += c0 << 2;
    skip += c1 << 2;
    to += channels << 2;
  }
}

function affine(x: usize, count: i32, scale: usize, shift: usize, act: i32, to: usize): void {
  let c = count;
  for (; c >= 4; c -= 4) {
    const v = f32x4.add(f32x4.mul(v128.load(x), v128.load(scale)), v128.load(shift));
    v128.store(to, activate(v, act));
    x += 16; scale += 16; shift += 16; to += 16;
  }
  if (c == 0) return;
  const v = f32x4.add(f32x4.mul(loadPart(x, c), loadPart(scale, c)), loadPart(shift, c));
  storePart(to, activate(v, act), c);
}

/** One tile: TILE_ROWS rows, each normalised over its channels. */
export function layerNormTile(op: usize, index: i32): void {
  const n = load<i32>(op, C0), whole = n & ~3, rest = n & 3;
  const first = index * load<i32>(op, TILE_ROWS);
  const end = min(first + load<i32>(op, TILE_ROWS), load<i32>(op, ROWS));
  const weight = load<usize>(op, WEIGHT), bias = load<usize>(op, BIAS);
  const eps = <f64>load<f32>(op, EPS);
  for (let row = first; row < end; row++) {
    const x = load<usize>(op, X) + <usize>row * (n << 2), to = load<usize>(op, OUT) + <usize>row * (n << 2);
    let s = f32x4.splat(0);
    for (let c = 0; c < whole; c += 4) s = f32x4.add(s, v128.load(x + (c << 2)));
    if (rest) s = f32x4.add(s, loadPart(x + (whole << 2), rest));
    const mean = <f32>(total(s) / <f64>n);
    const m = f32x4.splat(mean);
    s = f32x4.splat(0);
    for (let c = 0; c < whole; c += 4) {
      const d = f32x4.sub(v128.load(x + (c << 2)), m);
      s = f32x4.add(s, f32x4.mul(d, d));
    }
    let square = total(s);
    for (let c = whole; c < n; c++) {
      const d = load<f32>(x + (c << 2)) - mean;
      square += <f64>(d * d);
    }
    const r = f32x4.splat(<f32>(1 / sqrt<f64>(square / <f64>n + eps)));
    for (let c = 0; c < whole; c += 4) {
      const at = c << 2;
      const d = f32x4.mul(f32x4.sub(v128.load(x + at), m), r);
      v128.store(to + at, f32x4.add(f32x4.mul(d, v128.load(weight + at)), v128.load(bias + at)));
    }
    if (rest) {
      const at = whole << 2;
      const d = f32x4.mul(f32x4.sub(loadPart(x + at, rest), m), r);
      storePart(to + at, f32x4.add(f32x4.mul(d, loadPart(weight + at, rest)), loadPart(bias + at, rest)), rest);
    }
  }
}

function total(v: v128): f64 {
  return <f64>f32x4.extract_lane(v, 0) + <f64>f32x4.extract_lane(v, 1) +
    <f64>f32x4.extract_lane(v, 2) + <f64>f32x4.extract_lane(v, 3);
}
