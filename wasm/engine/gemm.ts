// Matrix products and convolutions as implicit GEMM (Goto & van de Geijn 2008: the block of A in the
// second cache, a panel of B in the first).
import {
  BIAS, C0, C1, COLUMNS, CONV, DTYPE, DTYPE_F32, DTYPE_I8, GATED, HEIGHT, K, K_BLOCK, KERNEL_W, OUT, OUT_HEIGHT, OUT_WIDTH,
  PAD_LEFT, PAD_TOP, PANELS, ROWS, ROW_TILES, SCALES, SCRATCH_A, SCRATCH_B, SCRATCH_C, SKIP, STORED_HEIGHT,
  STORED_WIDTH, STRIDE, TILE_PANELS, TILE_ROWS, WEIGHT, WIDTH, WRAP_X, WRAP_Y, X, ZEROS,
} from './layout';
import { copyRows, finish, finishGated, isPlain } from './epilogue';
import { interleaveRows, scaleStep, widenPanel } from './pack';
import { BLOCK, MR, ROW, tile } from './tile';

// Tables of a row block in the scratch: addresses of x and of skip; first pixel of the row's picture,
// and where its window starts.
const FROM_X: usize = 0;
const FROM_SKIP: usize = 32;
const IMAGE: usize = 64;
const TOP: usize = 96;
const LEFT: usize = 128;

/** One tile: TILE_ROWS rows by TILE_PANELS panels of the output. */
export function gemmTile(op: usize, index: i32, scratch: usize): void {
  const rowTiles = load<i32>(op, ROW_TILES);
  const firstRow = (index % rowTiles) * load<i32>(op, TILE_ROWS);
  const rows = min(load<i32>(op, TILE_ROWS), load<i32>(op, ROWS) - firstRow);
  const blocks = (rows + MR - 1) / MR;
  const gated = load<i32>(op, GATED);
  const panels = load<i32>(op, PANELS);
  const firstPanel = (index / rowTiles) * load<i32>(op, TILE_PANELS);
  const width = min(load<i32>(op, TILE_PANELS), panels - firstPanel);
  const k = load<i32>(op, K), kBlock = load<i32>(op, K_BLOCK);
  const dtype = load<i32>(op, DTYPE);
  const size = dtype == DTYPE_F32 ? 4 : dtype == DTYPE_I8 ? 1 : 2;
  const weight = load<usize>(op, WEIGHT), scales = load<usize>(op, SCALES);
  // With all of k in one block the accumulators of a panel are spent before the next one starts.
  const keep = k > kBlock ? -1 : gated;
  const columns = load<i32>(op, COLUMNS), bias = load<usize>(op, BIAS), out = load<usize>(op, OUT);
  const plain = !gated && isPlain(op);

  for (let k0 = 0; k0 < k; k0 += kBlock) {
    const kc = min(kBlock, k - k0);
    const aStep: usize = kc * MR * 4;
    for (let i = 0, to = scratch + SCRATCH_A; i < blocks; i++, to += aStep)
      packBlock(op, firstRow + i * MR, k0, k0 + kc, scratch, to);
    const last = k0 + kc == k;
    const passes = width << gated;
    for (let p = 0; p < passes; p++) {
      const panel = firstPanel + (p >> gated) + (p & gated) * panels;
      let b = weight + <usize>((panel * k + k0) << 3) * size;
      if (dtype != DTYPE_F32) {
        widenPanel(dtype, b, scales + panel * scaleStep(k), k0, kc, scratch + SCRATCH_B);
        b = scratch + SCRATCH_B;
      }
      let a = scratch + SCRATCH_A;
      let c = scratch + SCRATCH_C + <usize>((p & keep) * blocks) * BLOCK;
      const whole = plain && (panel + 1) << 3 <= columns;
      for (let i = 0; i < blocks; i++) {
        const row = firstRow + i * MR;
        const count = min(MR, load<i32>(op, ROWS) - row);
        // A panel with no more than a bias starts from it; a whole block of it ends where it belongs.
        const from = k0 > 0 ? c : whole && bias ? bias + (panel << 5) : ZEROS;
        const there = out + (<usize>row * columns << 2) + (panel << 5), pitch: usize = columns << 2;
        const direct = last && whole && count == MR;
        tile(kc, a, b, from, k0 > 0 ? ROW : 0, direct ? there : c, direct ? pitch : ROW);
        if (last && !direct && (p & gated) == gated) {
          if (gated) finishGated(op, c - <usize>blocks * BLOCK, c, row, count, firstPanel + (p >> 1));
          else if (whole) copyRows(c, there, pitch, count);
          else finish(op, c, row, count, panel);
        }
        a += aStep;
        c += BLOCK;
      }
    }
  }
}

/** MR rows of A, inner positions k0 up to k1, to `[k1 - k0][MR]`. */
function packBlock(op: usize, row: i32, k0: i32, k1: i32, scratch: usize, to: usize): void {
  const c0 = load<i32>(op, C0), c1 = load<i32>(op, C1), channels = c0 + c1;
  const conv = load<i32>(op, CONV);
  if (conv) placeWindows(op, row, scratch);
  else placeRows(op, row, scratch);
  let tap = k0 / channels, c = k0 - tap * channels;
  for (let k = k0; k < k1; ) {
    if (conv) placeTap(op, tap, scratch);
    const end = min(channels, c + k1 - k);
    if (c < c0) {
      const count = min(end, c0) - c;
      interleaveRows(scratch + FROM_X, c << 2, count, to);
      to += count * MR * 4;
      k += count;
      c += count;
    }
    if (c < end) {
      const count = end - c;
      interleaveRows(scratch + FROM_SKIP, (c - c0) << 2, count, to);
      to += count * MR * 4;
      k += count;
    }
    c = 0;
    tap++;
  }
}

function placeRows(op: usize, row: i32, scratch: usize): void {
  const rows = load<i32>(op, ROWS);
  const c0 = load<i32>(op, C0) << 2, c1 = load<i32>(op, C1) << 2;
  for (let i = 0; i < MR; i++, row++) {
    const inside = row < rows;
    store<usize>(scratch + (i << 2), inside ? load<usize>(op, X) + <usize>row * c0 : ZEROS, FROM_X);
    store<usize>(scratch + (i << 2), inside ? load<usize>(op, SKIP) + <usize>row * c1 : ZEROS, FROM_SKIP);
  }
}

function placeWindows(op: usize, row: i32, scratch: usize): void {
  const rows = load<i32>(op, ROWS), outWidth = load<i32>(op, OUT_WIDTH), outHeight = load<i32>(op, OUT_HEIGHT);
  const stride = load<i32>(op, STRIDE);
  const image = load<i32>(op, STORED_HEIGHT) * load<i32>(op, STORED_WIDTH);
  for (let i = 0; i < MR; i++, row++) {
    const line = row / outWidth, picture = line / outHeight;
    const entry = scratch + (i << 2);
    store<i32>(entry, row < rows ? picture * image : -1, IMAGE);
    store<i32>(entry, (line - picture * outHeight) * stride - load<i32>(op, PAD_TOP), TOP);
    store<i32>(entry, (row - line * outWidth) * stride - load<i32>(op, PAD_LEFT), LEFT);
  }
}

/** Addresses of the pixels under one tap of the kernel; padding reads zeros. */
function placeTap(op: usize, tap: i32, scratch: usize): void {
  const kernelWidth = load<i32>(op, KERNEL_W);
  const dy = tap / kernelWidth, dx = tap - dy * kernelWidth;
  const height = load<i32>(op, HEIGHT), width = load<i32>(op, WIDTH);
  const storedHeight = load<i32>(op, STORED_HEIGHT), storedWidth = load<i32>(op, STORED_WIDTH);
  const c0 = load<i32>(op, C0) << 2, c1 = load<i32>(op, C1) << 2;
  for (let i = 0; i < MR; i++) {
    const entry = scratch + (i << 2);
    const image = load<i32>(entry, IMAGE);
    let y = load<i32>(entry, TOP) + dy, x = load<i32>(entry, LEFT) + dx;
    if (load<i32>(op, WRAP_Y)) y = wrap(y, height);
    if (load<i32>(op, WRAP_X)) x = wrap(x, width);
    if (image < 0 || <u32>y >= <u32>height || <u32>x >= <u32>width) {
      store<usize>(entry, ZEROS, FROM_X);
      store<usize>(entry, ZEROS, FROM_SKIP);
      continue;
    }
    if (storedHeight != height) y = y * storedHeight / height;
    if (storedWidth != width) x = x * storedWidth / width;
    const pixel = image + y * storedWidth + x;
    store<usize>(entry, load<usize>(op, X) + <usize>pixel * c0, FROM_X);
    store<usize>(entry, load<usize>(op, SKIP) + <usize>pixel * c1, FROM_SKIP);
  }
}

/** i modulo n, never negative. */
export function wrap(i: i32, n: i32): i32 {
  i %= n;
  return i < 0 ? i + n : i;
}
