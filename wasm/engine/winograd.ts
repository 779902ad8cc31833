// 3×3 convolutions of stride 1 by Winograd's F(4×4, 3×3) (Lavin & Gray 2015): 36 products per 16 pixels
// instead of 144. The input is transformed by an instruction of its own; filters are transformed from
// the stored weights while they are used, so that they cost no memory.
import { finish } from './epilogue';
import { wrap } from './gemm';
import {
  C0, C1, DTYPE, DTYPE_F32, DTYPE_I8, FIRST_LINE, FIRST_TILE, HEIGHT, OUT_HEIGHT, OUT_WIDTH,
  PAD_LEFT, PAD_TOP, PANELS, ROW_BLOCKS, SCALES, SCRATCH_A, SCRATCH_B, SCRATCH_C, SKIP, STORED_HEIGHT,
  STORED_WIDTH, TASK_BLOCKS, TILES_X, TILES_Y, TILE_COUNT, TILE_PANELS, TRANSFORMED, WEIGHT, WIDTH,
  WRAP_X, WRAP_Y, X, ZEROS,
} from './layout';
import { at, fma } from './math';
import { interleaveFour, interleaveRows, scaleStep, widenPanel } from './pack';
import { BLOCK, MR, ROW, tile, tileOfFour } from './tile';

/** Channels that are transformed, and then multiplied, at once. */
const CHUNK: i32 = 64;
/** Added to the distance between planes: at a power of two they would fight for one set of the cache. */
const PAD: usize = 64;
/** Bytes between the planes of a chunk of transformed input. */
const CHUNK_STEP: usize = <usize>(MR * CHUNK * 4) + PAD;

// Scratch of the input transform, in SCRATCH_B: 36 addresses of pixels in x and in skip, a table of
// rows, a 6×6 tile under way; and in SCRATCH_A the transformed chunk [36][MR][CHUNK].
const PIXELS: usize = SCRATCH_B;
const PIXELS_SKIP: usize = SCRATCH_B + 256;
const TABLE: usize = SCRATCH_B + 512;
const HALF: usize = SCRATCH_B + 576;

/** One tile of the instruction: MR tiles of the picture, all channels. */
export function winogradInputTile(op: usize, index: i32, scratch: usize): void {
  const c0 = load<i32>(op, C0), c1 = load<i32>(op, C1), channels = c0 + c1;
  const rowBlocks = load<i32>(op, ROW_BLOCKS);
  const planeStep: usize = rowBlocks * channels * (MR * 4);
  const chunk = scratch + SCRATCH_A;
  // A last block of no more than four tiles stays that narrow: small pictures have only one or three blocks.
  const rows = load<i32>(op, TILE_COUNT) - index * MR > 4 ? MR : 4;
  for (let r = 0; r < MR; r++) store<usize>(scratch + TABLE + (r << 2), chunk + r * (CHUNK * 4));
  for (let first = 0; first < channels; first += CHUNK) {
    const count = min(CHUNK, channels - first);
    for (let r = 0; r < rows; r++) {
      placeTile(op, index * MR + r, scratch);
      const mine = max(0, min(c0 - first, count));
      transformInput(scratch, PIXELS, first, mine, chunk + r * (CHUNK * 4));
      transformInput(scratch, PIXELS_SKIP, first + mine - c0, count - mine, chunk + r * (CHUNK * 4) + (mine << 2));
    }
    const to = load<usize>(op, TRANSFORMED) + (<usize>first * rowBlocks + <usize>index * count) * (MR * 4);
    for (let plane = 0; plane < 36; plane++)
      if (rows > 4) interleaveRows(scratch + TABLE, plane * CHUNK_STEP, count, to + plane * planeStep);
      else interleaveFour(scratch + TABLE, plane * CHUNK_STEP, count, to + plane * planeStep);
  }
}

/** Addresses of the 6×6 pixels under a tile; padding, and tiles past the last, read zeros. */
function placeTile(op: usize, index: i32, scratch: usize): void {
  const tilesX = load<i32>(op, TILES_X), tilesY = load<i32>(op, TILES_Y);
  const at = index + load<i32>(op, FIRST_TILE);
  const line = at / tilesX, picture = line / tilesY;
  const top = ((line - picture * tilesY) << 2) - load<i32>(op, PAD_TOP);
  const left = ((at - line * tilesX) << 2) - load<i32>(op, PAD_LEFT);
  const inside = index < load<i32>(op, TILE_COUNT);
  const height = load<i32>(op, HEIGHT), width = load<i32>(op, WIDTH);
  const storedHeight = load<i32>(op, STORED_HEIGHT), storedWidth = load<i32>(op, STORED_WIDTH);
  const c0: usize = load<i32>(op, C0) << 2, c1: usize = load<i32>(op, C1) << 2;
  let entry = scratch;
  for (let i = 0; i < 6; i++) {
    let y = top + i;
    if (load<i32>(op, WRAP_Y)) y = wrap(y, height);
    const filled = inside && <u32>y < <u32>height;
    if (storedHeight != height) y = y * storedHeight / height;
    const row = (picture * storedHeight + y - load<i32>(op, FIRST_LINE)) * storedWidth;
    for (let j = 0; j < 6; j++, entry += 4) {
      let x = left + j;
      if (load<i32>(op, WRAP_X)) x = wrap(x, width);
      if (!filled || <u32>x >= <u32>width) {
        store<usize>(entry, ZEROS, PIXELS);
        store<usize>(entry, ZEROS, PIXELS_SKIP);
        continue;
      }
      if (storedWidth != width) x = x * storedWidth / width;
      store<usize>(entry, load<usize>(op, X) + <usize>(row + x) * c0, PIXELS);
      store<usize>(entry, load<usize>(op, SKIP) + <usize>(row + x) * c1, PIXELS_SKIP);
    }
  }
}

/** Bᵀ·d·B of `count` channels from `first` on; plane p of them goes to `to + p·CHUNK_STEP`. */
function transformInput(scratch: usize, pixels: usize, first: i32, count: i32, to: usize): void {
  const half = scratch + HALF;
  const four = at(INPUT, 0), minusFour = at(INPUT, 1), minusFive = at(INPUT, 2);
  let offset: usize = first << 2;
  for (; count > 0; count -= 4, offset += 16, to += 16) {
    for (let j: usize = 0; j < 6; j++) {
      const p = scratch + pixels + (j << 2);
      transform6(
        v128.load(load<usize>(p) + offset), v128.load(load<usize>(p, 24) + offset),
        v128.load(load<usize>(p, 48) + offset), v128.load(load<usize>(p, 72) + offset),
        v128.load(load<usize>(p, 96) + offset), v128.load(load<usize>(p, 120) + offset),
        half + (j << 4), 96, four, minusFour, minusFive,
      );
    }
    for (let i: usize = 0; i < 6; i++) {
      const p = half + i * 96;
      transform6(
        v128.load(p), v128.load(p, 16), v128.load(p, 32), v128.load(p, 48), v128.load(p, 64), v128.load(p, 80),
        to + i * (6 * CHUNK_STEP), CHUNK_STEP, four, minusFour, minusFive,
      );
    }
  }
}

const INPUT: usize = memory.data<f32>([4, -4, -5]);

/** One column of Bᵀ·d. The last three are those of INPUT, kept in registers. */
// @ts-ignore: decorator
@inline
function transform6(
  d0: v128, d1: v128, d2: v128, d3: v128, d4: v128, d5: v128, to: usize, step: usize,
  four: v128, minusFour: v128, minusFive: v128,
): void {
  const even = fma(d2, minusFour, d4), odd = fma(d1, minusFour, d3);
  const near = f32x4.sub(d4, d2), far = f32x4.sub(d3, d1), twice = f32x4.add(far, far);
  v128.store(to, fma(d0, four, fma(d2, minusFive, d4)));
  v128.store(to + step, f32x4.add(even, odd));
  v128.store(to + 2 * step, f32x4.sub(even, odd));
  v128.store(to + 3 * step, f32x4.add(near, twice));
  v128.store(to + 4 * step, f32x4.sub(near, twice));
  v128.store(to + 5 * step, fma(d1, four, fma(d3, minusFive, d5)));
}

/**
 * One tile of the instruction: TASK_BLOCKS row blocks by TILE_PANELS panels. Filters of CHUNK channels
 * lie in SCRATCH_A `[36][panel][channel][8]`, products in SCRATCH_C `[36][block][panel]`.
 */
export function winogradProductTile(op: usize, index: i32, scratch: usize): void {
  const rowBlocks = load<i32>(op, ROW_BLOCKS), taskBlocks = load<i32>(op, TASK_BLOCKS);
  const strips = (rowBlocks + taskBlocks - 1) / taskBlocks;
  const firstBlock = (index % strips) * taskBlocks;
  const blocks = min(taskBlocks, rowBlocks - firstBlock);
  const firstPanel = (index / strips) * load<i32>(op, TILE_PANELS);
  const panels = min(load<i32>(op, TILE_PANELS), load<i32>(op, PANELS) - firstPanel);
  const channels = load<i32>(op, C0) + load<i32>(op, C1);
  const planeStep: usize = rowBlocks * channels * (MR * 4);
  const products = scratch + SCRATCH_C;
  // All blocks but a last one of no more than four tiles.
  const wide = min(blocks, (load<i32>(op, TILE_COUNT) - firstBlock * MR + MR - 5) / MR);
  const cPlane: usize = blocks * panels * BLOCK + PAD;
  for (let k0 = 0; k0 < channels; k0 += CHUNK) {
    const kc = min(CHUNK, channels - k0);
    const aStep: usize = kc * MR * 4;
    const bStep: usize = kc << 5, bPlane = panels * bStep + PAD;
    for (let p = 0; p < panels; p++)
      transformFilters(op, firstPanel + p, k0, kc, scratch, scratch + SCRATCH_A + p * bStep, bPlane);
    let b = scratch + SCRATCH_A;
    for (let plane = 0; plane < 36; plane++) {
      let c = products + plane * cPlane;
      let a = load<usize>(op, TRANSFORMED) + plane * planeStep + <usize>k0 * rowBlocks * (MR * 4) + firstBlock * aStep;
      for (let i = 0; i < wide; i++) {
        for (let p = 0; p < panels; p++) {
          tile(kc, a, b + p * bStep, k0 == 0 ? ZEROS : c, k0 == 0 ? 0 : ROW, c, ROW);
          c += BLOCK;
        }
        a += aStep;
      }
      if (wide < blocks)
        for (let p = 0; p < panels; p++) {
          tileOfFour(kc, a, b + p * bStep, k0 == 0 ? ZEROS : c, k0 == 0 ? 0 : ROW, c, ROW);
          c += BLOCK;
        }
      b += bPlane;
    }
  }
  for (let i = 0; i < blocks; i++)
    for (let r = 0; r < MR; r++) {
      const at = (firstBlock + i) * MR + r;
      if (at >= load<i32>(op, TILE_COUNT)) break;
      for (let p = 0; p < panels; p++)
        writeTile(op, at, firstPanel + p, products + (i * panels + p) * BLOCK + (r << 5), cPlane, scratch);
    }
}

/** G·g·Gᵀ of `count` channels of a panel; plane p goes to `to + p·step`. */
function transformFilters(op: usize, panel: i32, first: i32, count: i32, scratch: usize, to: usize, step: usize): void {
  const channels = load<i32>(op, C0) + load<i32>(op, C1);
  const dtype = load<i32>(op, DTYPE);
  const size = dtype == DTYPE_F32 ? 4 : dtype == DTYPE_I8 ? 1 : 2;
  const tapBytes: usize = (channels << 3) * size;
  let from = load<usize>(op, WEIGHT) + 9 * panel * tapBytes + (first << 3) * size;
  let tap = tapBytes;
  if (dtype != DTYPE_F32) {
    const widened = scratch + SCRATCH_B;
    const scales = load<usize>(op, SCALES) + panel * scaleStep(9 * channels);
    tap = count << 5;
    for (let i = 0; i < 9; i++)
      widenPanel(dtype, from + i * tapBytes, scales, i * channels + first, count, widened + i * tap);
    from = widened;
  }
  const half = scratch + SCRATCH_B + 63 * 1024;
  const sixth = at(FILTER, 0), minusSixth = at(FILTER, 1), twelfth = at(FILTER, 2);
  const small = at(FILTER, 3), quarter = at(FILTER, 4);
  for (let n = count << 1; n > 0; n--, from += 16, to += 16) {
    for (let j: usize = 0; j < 3; j++) {
      const p = from + j * tap;
      filter6(v128.load(p), v128.load(p + 3 * tap), v128.load(p + 6 * tap), half + (j << 4), 48,
        sixth, minusSixth, twelfth, small, quarter);
    }
    for (let i: usize = 0; i < 6; i++) {
      const p = half + i * 48;
      filter6(v128.load(p), v128.load(p, 16), v128.load(p, 32), to + 6 * i * step, step,
        sixth, minusSixth, twelfth, small, quarter);
    }
  }
}

const FILTER: usize = memory.data<f32>([1.0 / 6, -1.0 / 6, 1.0 / 12, 1.0 / 24, 0.25]);

/** One column of G·g. The last five are those of FILTER, kept in registers. */
// @ts-ignore: decorator
@inline
function filter6(
  g0: v128, g1: v128, g2: v128, to: usize, step: usize,
  sixth: v128, minusSixth: v128, twelfth: v128, small: v128, quarter: v128,
): void {
  const sum = f32x4.mul(f32x4.add(g0, g2), minusSixth), middle = f32x4.mul(g1, sixth);
  const wide = fma(g0, small, f32x4.mul(g2, sixth)), half = f32x4.mul(g1, twelfth);
  v128.store(to, f32x4.mul(g0, quarter));
  v128.store(to + step, f32x4.sub(sum, middle));
  v128.store(to + 2 * step, f32x4.add(sum, middle));
  v128.store(to + 3 * step, f32x4.add(wide, half));
  v128.store(to + 4 * step, f32x4.sub(wide, half));
  v128.store(to + 5 * step, g2);
}

/** Aᵀ·m·A of one tile and one panel, and its up to 16 pixels through the epilogue. */
function writeTile(op: usize, index: i32, panel: i32, from: usize, step: usize, scratch: usize): void {
  const half = scratch + SCRATCH_B, whole = scratch + SCRATCH_B + 1024;
  const two = at(OUTPUT, 0), four = at(OUTPUT, 1), eight = at(OUTPUT, 2);
  for (let side: usize = 0; side < 32; side += 16) {
    for (let j: usize = 0; j < 6; j++) {
      const p = from + side + j * step;
      output4(v128.load(p), v128.load(p + 6 * step), v128.load(p + 12 * step), v128.load(p + 18 * step),
        v128.load(p + 24 * step), v128.load(p + 30 * step), half + (j << 4), 96, two, four, eight);
    }
    for (let i: usize = 0; i < 4; i++) {
      const p = half + i * 96;
      output4(v128.load(p), v128.load(p, 16), v128.load(p, 32), v128.load(p, 48), v128.load(p, 64),
        v128.load(p, 80), whole + (i << 7) + side, 32, two, four, eight);
    }
  }
  const tilesX = load<i32>(op, TILES_X), tilesY = load<i32>(op, TILES_Y);
  const height = load<i32>(op, OUT_HEIGHT), width = load<i32>(op, OUT_WIDTH);
  const at = index + load<i32>(op, FIRST_TILE);
  const line = at / tilesX, picture = line / tilesY;
  const top = (line - picture * tilesY) << 2, left = (at - line * tilesX) << 2;
  const rows = min(4, height - top), columns = min(4, width - left);
  for (let i = 0; i < rows; i++) {
    const row = (picture * height + top + i) * width + left;
    finish(op, whole + (i << 7), row, columns, panel);
  }
}

const OUTPUT: usize = memory.data<f32>([2, 4, 8]);

/** One column of Aᵀ·m. The last three are those of OUTPUT, kept in registers. */
// @ts-ignore: decorator
@inline
function output4(
  m0: v128, m1: v128, m2: v128, m3: v128, m4: v128, m5: v128, to: usize, step: usize,
  two: v128, four: v128, eight: v128,
): void {
  const sum = f32x4.add(m1, m2), difference = f32x4.sub(m1, m2);
  const outerSum = f32x4.add(m3, m4), outer = f32x4.sub(m3, m4);
  v128.store(to, f32x4.add(f32x4.add(m0, sum), outerSum));
  v128.store(to + step, fma(outer, two, difference));
  v128.store(to + 2 * step, fma(outerSum, four, sum));
  v128.store(to + 3 * step, f32x4.add(fma(outer, eight, difference), m5));
}
