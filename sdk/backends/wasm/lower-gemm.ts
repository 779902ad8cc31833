import type { GemmOp, Tensor } from '../../graph/index.ts';
import * as L from '../../../wasm/engine/layout.ts';
import { Instruction, type Code } from './code.ts';
import { activationCode, type Target } from './target.ts';

/** Rows of a tile at most: a panel of B is fetched, and widened, once for all of them. */
const MOST_ROWS = 384;
/** One panel of B and a block of A of this depth fill 60 % of a 32 KiB first-level cache; MOST_ROWS of it, half a second. */
const MOST_DEPTH = 340;

/** Bytes of accumulators that are kept from one block of depth to the next. */
const MOST_ACCUMULATORS = 400_000;

/** How a product is cut into tiles. It has no influence on the result: k is never split. */
export interface Tiling {
  readonly rows: number;
  readonly panels: number;
  readonly depth: number;
  readonly tiles: number;
}

/**
 * Chooses tiles by their estimated time: what must be packed (rows of A once per tile, panels of B
 * once per tile unless stored as f32) against how evenly the tiles spread over the threads.
 */
export function chooseTiling(
  rows: number,
  panels: number,
  inner: number,
  { gated, widened, threads, rowBlock }: TilingOptions,
): Tiling {
  const depthBlocks = Math.ceil(inner / MOST_DEPTH);
  const depth = Math.min(inner, Math.ceil(inner / depthBlocks / 4) * 4);
  const passes = gated ? 2 : 1;
  let best: Tiling | undefined;
  let least = Infinity;
  const rowTiles = Math.ceil(rows / MOST_ROWS);
  for (const split of [1, 2, 4, 8]) {
    const tileRows = Math.ceil(rows / (rowTiles * split) / rowBlock) * rowBlock;
    for (let parts = 1; parts <= panels; parts = parts < 4 ? parts + 1 : Math.ceil(parts * 1.5)) {
      const tilePanels = Math.ceil(panels / parts);
      if (depthBlocks > 1 && tileRows * tilePanels * passes * 32 > MOST_ACCUMULATORS) continue;
      const tiles = Math.ceil(rows / tileRows) * Math.ceil(panels / tilePanels);
      const columns = tilePanels * passes * 8;
      const cycles =
        inner * ((tileRows * columns) / 8 + 1.2 * tileRows + (widened ? 0.7 * columns : 0)) + 2000;
      // On average the last tile ends half a tile after the first thread has nothing left to do.
      const time = (cycles * tiles) / threads + (threads > 1 ? cycles / 2 : 0);
      if (time >= least) continue;
      least = time;
      best = { rows: tileRows, panels: tilePanels, depth, tiles };
    }
    if (tileRows === rowBlock) break;
  }
  if (!best) throw new Error(`no tiling for ${rows}×${panels * 8}×${inner}`);
  return best;
}

export interface TilingOptions {
  readonly gated: boolean;
  readonly widened: boolean;
  readonly threads: number;
  readonly rowBlock: number;
}

/** A matrix product, or a convolution as implicit GEMM. */
export function lowerProduct(code: Code, op: GemmOp, out: Tensor, target: Target): void {
  const { x, skip, weight, geometry, upsample } = op;
  const channels = x.channels + (skip?.channels ?? 0);
  const inner = weight.shape.slice(1).reduce((a, b) => a * b, 1);
  const columns = out.channels;
  const rows = out.size / columns;
  const panels = Math.ceil(columns / 8);
  const gated = op.geglu === true;

  const instruction = new Instruction(L.OP_GEMM);
  if (op.norm) {
    const pixels = { firstRow: 0, rows: x.size / x.channels };
    const normed = target.workspace(pixels.rows * channels * 4);
    applyNorm(code, op, normed, pixels, target);
    instruction.arena(L.X, normed).set(L.C0, channels);
  } else
    instruction
      .arena(L.X, target.at(x))
      .set(L.C0, x.channels)
      .arena(L.SKIP, skip && target.at(skip))
      .set(L.C1, skip?.channels ?? 0);

  const tiling = chooseTiling(rows, panels, inner, {
    gated,
    widened: target.weights.get(weight).dtype !== L.DTYPE_F32,
    threads: target.threads,
    rowBlock: target.rowBlock,
  });
  epilogueFields(instruction, op, out, target);
  instruction
    .set(L.ROWS, rows)
    .set(L.TILE_ROWS, tiling.rows)
    .set(L.K, inner)
    .set(L.K_BLOCK, tiling.depth)
    .set(L.PANELS, panels)
    .set(L.TILE_PANELS, tiling.panels)
    .set(L.ROW_TILES, Math.ceil(rows / tiling.rows))
    .set(L.GATED, gated ? 1 : 0);
  if (geometry || upsample) {
    const { kernel, stride, padding, wrap } = geometry ?? POINTWISE;
    const [, height, width] = x.shape;
    instruction
      .set(L.CONV, 1)
      .set(L.KERNEL_H, kernel[0])
      .set(L.KERNEL_W, kernel[1])
      .set(L.STRIDE, stride)
      .set(L.PAD_TOP, padding.top)
      .set(L.PAD_LEFT, padding.left)
      .set(L.HEIGHT, upsample?.[0] ?? height)
      .set(L.WIDTH, upsample?.[1] ?? width)
      .set(L.STORED_HEIGHT, height)
      .set(L.STORED_WIDTH, width)
      .set(L.OUT_HEIGHT, out.shape[1])
      .set(L.OUT_WIDTH, out.shape[2])
      .set(L.WRAP_X, wrap.x ? 1 : 0)
      .set(L.WRAP_Y, wrap.y ? 1 : 0);
  }
  code.add(instruction, tiling.tiles, 2 * rows * inner * weight.shape[0]);
}

const POINTWISE = {
  kernel: [1, 1],
  stride: 1,
  padding: { top: 0, right: 0, bottom: 0, left: 0 },
  wrap: { x: false, y: false },
} as const;

/** The weight, the output, and all that rides in the epilogue. */
export function epilogueFields(
  instruction: Instruction,
  op: GemmOp,
  out: Tensor,
  target: Target,
): void {
  const resident = target.weights.get(op.weight);
  instruction
    .arena(L.OUT, target.at(out))
    .set(L.COLUMNS, out.channels)
    .set(L.BATCH_ROWS, out.size / out.channels / out.shape[0])
    .set(L.ACT, activationCode(op.outputActivation))
    .set(L.BIAS, op.bias ? target.weights.get(op.bias).address : 0)
    .set(L.WEIGHT, resident.address)
    .set(L.DTYPE, resident.dtype)
    .set(L.SCALES, resident.scales)
    .arena(L.CHANNEL_BIAS, op.channelBias && target.at(op.channelBias))
    .arena(L.RESIDUAL, op.residual && target.at(op.residual));
}

/**
 * `inputActivation(norm(x, skip))` of some pixels, into the workspace at `to`. They are counted over
 * the whole batch, and are either all there are or of one picture alone.
 */
export function applyNorm(
  code: Code,
  op: GemmOp,
  to: number,
  { firstRow, rows }: { readonly firstRow: number; readonly rows: number },
  target: Target,
): void {
  const { x, skip, norm } = op;
  if (!norm) throw new Error('an input activation rides with a norm; fuse() makes no other');
  const c0 = x.channels;
  const c1 = skip?.channels ?? 0;
  const pictureRows = x.size / c0 / x.shape[0];
  const picture = Math.floor(firstRow / pictureRows);
  const tileRows = target.tileRows(rows, c0 + c1);
  code.add(
    new Instruction(L.OP_NORM_APPLY)
      .arena(L.OUT, to)
      .arena(L.X, target.at(x) + firstRow * c0 * 4)
      .arena(L.SKIP, skip && target.at(skip) + firstRow * c1 * 4)
      .set(L.C0, c0)
      .set(L.C1, c1)
      .set(L.ROWS, rows)
      .set(L.BATCH_ROWS, pictureRows)
      .set(L.TILE_ROWS, tileRows)
      .set(L.ACT, activationCode(op.inputActivation))
      .arena(L.STATS, target.at(norm) + picture * 2 * (c0 + c1) * 4),
    Math.ceil(rows / tileRows),
    rows * (c0 + c1) * 40,
  );
}
