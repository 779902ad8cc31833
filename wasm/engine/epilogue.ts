// What rides along with a product: bias, channel bias, residual, activation, GEGLU.
import { ACT, ACT_NONE, BATCH_ROWS, BIAS, CHANNEL_BIAS, COLUMNS, OUT, RESIDUAL } from './layout';
import { activate, gelu, loadPart, storePart } from './math';

/** Whether nothing but a bias rides along. */
export function isPlain(op: usize): bool {
  return !load<usize>(op, CHANNEL_BIAS) && !load<usize>(op, RESIDUAL) && load<i32>(op, ACT) == ACT_NONE;
}

/** `count` rows of eight columns that want nothing more. */
export function copyRows(from: usize, to: usize, pitch: usize, count: i32): void {
  for (; count > 0; count--, from += 32, to += pitch) {
    v128.store(to, v128.load(from));
    v128.store(to, v128.load(from, 16), 16);
  }
}

/** `count` rows of eight columns, from the accumulators at `c` to rows `row`, `row + 1`, … of the output. */
export function finish(op: usize, c: usize, row: i32, count: i32, panel: i32): void {
  const columns = load<i32>(op, COLUMNS), column = panel << 3;
  const bias = load<usize>(op, BIAS), channelBias = load<usize>(op, CHANNEL_BIAS);
  const residual = load<usize>(op, RESIDUAL), act = load<i32>(op, ACT);
  const picture = channelBias ? row / load<i32>(op, BATCH_ROWS) : 0;
  const severalPictures = channelBias && (row + count - 1) / load<i32>(op, BATCH_ROWS) != picture;
  if (columns - column < 8 || severalPictures) {
    for (; count > 0; count--, row++, c += 32) emit(op, v128.load(c), v128.load(c, 16), row, panel);
    return;
  }
  let b0 = f32x4.splat(0), b1 = b0;
  if (bias) {
    b0 = v128.load(bias + (column << 2));
    b1 = v128.load(bias + (column << 2), 16);
  }
  if (channelBias) {
    const from = channelBias + ((<usize>picture * columns + column) << 2);
    b0 = f32x4.add(b0, v128.load(from));
    b1 = f32x4.add(b1, v128.load(from, 16));
  }
  const pitch: usize = columns << 2, offset: usize = (<usize>row * columns + column) << 2;
  let to = load<usize>(op, OUT) + offset;
  if (residual) {
    let from = residual + offset;
    for (let i = count, p = c; i > 0; i--, p += 32, from += pitch) {
      v128.store(p, f32x4.add(v128.load(p), v128.load(from)));
      v128.store(p, f32x4.add(v128.load(p, 16), v128.load(from, 16)), 16);
    }
  }
  if (act == ACT_NONE)
    for (; count > 0; count--, c += 32, to += pitch) {
      v128.store(to, f32x4.add(v128.load(c), b0));
      v128.store(to, f32x4.add(v128.load(c, 16), b1), 16);
    }
  else
    for (; count > 0; count--, c += 32, to += pitch) {
      v128.store(to, activate(f32x4.add(v128.load(c), b0), act));
      v128.store(to, activate(f32x4.add(v128.load(c, 16), b1), act), 16);
    }
}

/** One row of a panel that is not full, or of two pictures. */
function emit(op: usize, v0: v128, v1: v128, row: i32, panel: i32): void {
  const columns = load<i32>(op, COLUMNS), column = panel << 3;
  const width = columns - column;
  const at: usize = (<usize>row * columns + column) << 2;
  const bias = load<usize>(op, BIAS), channelBias = load<usize>(op, CHANNEL_BIAS);
  const residual = load<usize>(op, RESIDUAL), act = load<i32>(op, ACT);
  const to = load<usize>(op, OUT) + at;
  const low = min(width, 4), high = min(width - 4, 4);
  // In the order of `finish`, so that a row does not depend on its neighbours.
  let b0 = f32x4.splat(0), b1 = b0;
  if (bias) {
    b0 = fetch(bias + (column << 2), low);
    b1 = fetch(bias + (column << 2) + 16, high);
  }
  if (channelBias) {
    const from = channelBias + ((<usize>(row / load<i32>(op, BATCH_ROWS)) * columns + column) << 2);
    b0 = f32x4.add(b0, fetch(from, low));
    b1 = f32x4.add(b1, fetch(from + 16, high));
  }
  if (residual) {
    v0 = f32x4.add(v0, fetch(residual + at, low));
    v1 = f32x4.add(v1, fetch(residual + at + 16, high));
  }
  v0 = f32x4.add(v0, b0);
  v1 = f32x4.add(v1, b1);
  if (act != ACT_NONE) {
    v0 = activate(v0, act);
    v1 = activate(v1, act);
  }
  put(to, v0, low);
  put(to + 16, v1, high);
}

// @ts-ignore: decorator
@inline
function fetch(from: usize, count: i32): v128 {
  return count == 4 ? v128.load(from) : loadPart(from, count);
}

// @ts-ignore: decorator
@inline
function put(to: usize, v: v128, count: i32): void {
  if (count == 4) v128.store(to, v);
  else storePart(to, v, count);
}

/** `(value + bias) · gelu(gate + bias)`; the columns are a multiple of 8. */
export function finishGated(op: usize, value: usize, gate: usize, row: i32, count: i32, panel: i32): void {
  const columns = load<i32>(op, COLUMNS);
  const bias = load<usize>(op, BIAS);
  let b0 = f32x4.splat(0), b1 = b0, g0 = b0, g1 = b0;
  if (bias) {
    const from = bias + (panel << 5);
    b0 = v128.load(from);
    b1 = v128.load(from, 16);
    g0 = v128.load(from + (columns << 2));
    g1 = v128.load(from + (columns << 2), 16);
  }
  let to = load<usize>(op, OUT) + ((<usize>row * columns + (panel << 3)) << 2);
  for (; count > 0; count--) {
    v128.store(to, f32x4.mul(f32x4.add(v128.load(value), b0), gelu(f32x4.add(v128.load(gate), g0))));
    v128.store(to, f32x4.mul(f32x4.add(v128.load(value, 16), b1), gelu(f32x4.add(v128.load(gate, 16), g1))), 16);
    value += 32;
    gate += 32;
    to += columns << 2;
  }
}
