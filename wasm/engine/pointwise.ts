// Ops that move or change elements one by one. A tile is TILE_ROWS rows.
import {
  ACT, BATCH_ROWS, C0, C1, DTYPE, DTYPE_F16, FACTOR, FLIP, FREQUENCIES, OUT, OUT_HEIGHT, OUT_WIDTH, PERIOD,
  POSITIONS, POSITIONS_DTYPE, ROWS, SKIP, SPREAD, STORED_HEIGHT, STORED_WIDTH, TILE_ROWS, WEIGHT, X, Y,
} from './layout';
import { at, activate, gelu, loadPart, storePart, HALF, widenHalf } from './math';

// @ts-ignore: decorator
@inline
function firstRow(op: usize, index: i32): i32 {
  return index * load<i32>(op, TILE_ROWS);
}

// @ts-ignore: decorator
@inline
function endRow(op: usize, index: i32): i32 {
  return min((index + 1) * load<i32>(op, TILE_ROWS), load<i32>(op, ROWS));
}

/** Rows are single elements here: C0 = 1. */
export function activationTile(op: usize, index: i32): void {
  const first = firstRow(op, index);
  let count = endRow(op, index) - first;
  let x = load<usize>(op, X) + (<usize>first << 2), to = load<usize>(op, OUT) + (<usize>first << 2);
  const act = load<i32>(op, ACT);
  for (; count >= 4; count -= 4, x += 16, to += 16) v128.store(to, activate(v128.load(x), act));
  storePart(to, activate(loadPart(x, count), act), count);
}

export function scaleTile(op: usize, index: i32): void {
  const first = firstRow(op, index);
  let count = endRow(op, index) - first;
  let x = load<usize>(op, X) + (<usize>first << 2), to = load<usize>(op, OUT) + (<usize>first << 2);
  const factor = v128.load_splat<f32>(op, FACTOR);
  for (; count >= 4; count -= 4, x += 16, to += 16) v128.store(to, f32x4.mul(v128.load(x), factor));
  storePart(to, f32x4.mul(loadPart(x, count), factor), count);
}

export function addTile(op: usize, index: i32): void {
  const n = load<i32>(op, C0), end = endRow(op, index);
  const spread = load<i32>(op, SPREAD);
  for (let row = firstRow(op, index); row < end; row++) {
    const other = spread ? row / load<i32>(op, BATCH_ROWS) : row;
    let x = load<usize>(op, X) + <usize>row * (n << 2), y = load<usize>(op, Y) + <usize>other * (n << 2);
    let to = load<usize>(op, OUT) + <usize>row * (n << 2);
    let count = n;
    for (; count >= 4; count -= 4, x += 16, y += 16, to += 16)
      v128.store(to, f32x4.add(v128.load(x), v128.load(y)));
    storePart(to, f32x4.add(loadPart(x, count), loadPart(y, count)), count);
  }
}

export function concatTile(op: usize, index: i32): void {
  const end = endRow(op, index);
  const c0: usize = load<i32>(op, C0) << 2, c1: usize = load<i32>(op, C1) << 2;
  for (let row: usize = firstRow(op, index); row < <usize>end; row++) {
    const to = load<usize>(op, OUT) + row * (c0 + c1);
    memory.copy(to, load<usize>(op, X) + row * c0, c0);
    memory.copy(to + c0, load<usize>(op, SKIP) + row * c1, c1);
  }
}

/** C0 = columns of the output. */
export function gegluTile(op: usize, index: i32): void {
  const n = load<i32>(op, C0), end = endRow(op, index);
  for (let row = firstRow(op, index); row < end; row++) {
    let x = load<usize>(op, X) + <usize>row * (n << 3), gate = x + (n << 2);
    let to = load<usize>(op, OUT) + <usize>row * (n << 2);
    let count = n;
    for (; count >= 4; count -= 4, x += 16, gate += 16, to += 16)
      v128.store(to, f32x4.mul(v128.load(x), gelu(v128.load(gate))));
    storePart(to, f32x4.mul(loadPart(x, count), gelu(loadPart(gate, count))), count);
  }
}

/** Nearest neighbour; a row is a pixel of the output. */
export function upsampleTile(op: usize, index: i32): void {
  const end = endRow(op, index);
  const pixel: usize = load<i32>(op, C0) << 2;
  const width = load<i32>(op, OUT_WIDTH), height = load<i32>(op, OUT_HEIGHT);
  const fromWidth = load<i32>(op, STORED_WIDTH), fromHeight = load<i32>(op, STORED_HEIGHT);
  for (let row = firstRow(op, index); row < end; row++) {
    const line = row / width, picture = line / height;
    const x = (row - line * width) * fromWidth / width, y = (line - picture * height) * fromHeight / height;
    const from = (picture * fromHeight + y) * fromWidth + x;
    memory.copy(load<usize>(op, OUT) + <usize>row * pixel, load<usize>(op, X) + <usize>from * pixel, pixel);
  }
}

// @ts-ignore: decorator
@inline
function entry(table: usize, dtype: i32, index: usize): f32 {
  if (dtype != DTYPE_F16) return load<f32>(table + (index << 2));
  const h = i32x4.splat(load<i16>(table + (index << 1)));
  return f32x4.extract_lane(widenHalf(h, at(HALF, 0), at(HALF, 1), at(HALF, 2), at(HALF, 3)), 0);
}

/** Token plus position embedding; a row is a token. */
export function embedTile(op: usize, index: i32): void {
  const dim = load<i32>(op, C0), end = endRow(op, index), period = load<i32>(op, PERIOD);
  const table = load<usize>(op, WEIGHT), dtype = load<i32>(op, DTYPE);
  const positions = load<usize>(op, POSITIONS), positionsDtype = load<i32>(op, POSITIONS_DTYPE);
  for (let row = firstRow(op, index); row < end; row++) {
    const token: usize = load<u32>(load<usize>(op, X) + (<usize>row << 2)) * dim;
    const position: usize = (row % period) * dim;
    const to = load<usize>(op, OUT) + <usize>row * (dim << 2);
    for (let i: usize = 0; i < <usize>dim; i++)
      store<f32>(to + (i << 2), entry(table, dtype, token + i) + entry(positions, positionsDtype, position + i));
  }
}

/** Row `X[batch, rows[batch]]`, the numbers of the rows at Y; BATCH_ROWS rows of C0 channels in X. */
export function selectRowTile(op: usize, index: i32): void {
  const end = endRow(op, index);
  const pitch: usize = load<i32>(op, C0) << 2;
  for (let batch = firstRow(op, index); batch < end; batch++) {
    const row = load<i32>(load<usize>(op, Y) + (<usize>batch << 2));
    const from = load<usize>(op, X) + <usize>(batch * load<i32>(op, BATCH_ROWS) + row) * pitch;
    memory.copy(load<usize>(op, OUT) + <usize>batch * pitch, from, pitch);
  }
}

/** Sinusoidal embedding; a row is one number, C0 the dimension, FREQUENCIES `[dim/2]` float32. */
export function sinusoidTile(op: usize, index: i32): void {
  const dim = load<i32>(op, C0), half = dim >> 1, end = endRow(op, index);
  const frequencies = load<usize>(op, FREQUENCIES), flip = load<i32>(op, FLIP);
  for (let row = firstRow(op, index); row < end; row++) {
    const t = load<f32>(load<usize>(op, X) + (<usize>row << 2));
    const to = load<usize>(op, OUT) + <usize>row * (dim << 2);
    for (let i = 0; i < half; i++) {
      // The product is rounded to float32, as torch does; the functions of it are not.
      const angle = t * load<f32>(frequencies + (i << 2));
      const cosine = <f32>sine(<f64>angle, 1), s = <f32>sine(<f64>angle, 0);
      store<f32>(to + (i << 2), flip ? cosine : s);
      store<f32>(to + ((i + half) << 2), flip ? s : cosine);
    }
  }
}

/** sin(x + turn·π/2) in float64 for |x| up to some thousands: reduction by π/2 in two parts, Taylor. */
function sine(x: f64, turn: i32): f64 {
  const n = nearest<f64>(x * 0.6366197723675814);
  const r = x - n * 1.5707963267341256 - n * 6.077100506506192e-11;
  const z = r * r;
  const quadrant = (<i32>n + turn) & 3;
  let v: f64;
  if (quadrant & 1)
    v = 1 + z * (-0.5 + z * (1.0 / 24 + z * (-1.0 / 720 + z * (1.0 / 40320 + z * (-1.0 / 3628800 + z / 479001600)))));
  else
    v = r + r * z * (-1.0 / 6 + z * (1.0 / 120 + z * (-1.0 / 5040 + z * (1.0 / 362880 - z / 39916800))));
  return quadrant & 2 ? -v : v;
}
