import type { GemmOp, Tensor } from '../../graph/index.ts';
import * as L from '../../../wasm/engine/layout.ts';
import { Instruction, type Code } from './code.ts';
import { applyNorm, epilogueFields } from './lower-gemm.ts';
import type { Target } from './target.ts';

/** Row blocks of a task: their 36 products stay in the second-level cache. */
const TASK_BLOCKS = 16;
/** Panels of a task: how often a block of transformed input is used once it is read. */
const TASK_PANELS = 4;
/** Transformed input beyond this many bytes is made band by band. */
const MOST_TRANSFORMED = 24 * 2 ** 20;

const up = (n: number, unit: number): number => Math.ceil(n / unit) * unit;

/**
 * Whether F(4×4, 3×3) beats the direct way, by the multiply-adds of both. Tiles that hang over the edge
 * and half-filled row blocks are what makes small pictures lose. One picture decides, so that its last
 * bits do not depend on how many are drawn beside it, nor on whether guidance doubles them.
 */
export function prefersWinograd(op: GemmOp, out: Tensor, rowBlock: number): boolean {
  const { geometry, x, skip } = op;
  if (!geometry || geometry.stride !== 1 || op.geglu) return false;
  if (geometry.kernel[0] !== 3 || geometry.kernel[1] !== 3) return false;
  if (x.channels % 4 !== 0 || (skip && skip.channels % 4 !== 0)) return false;
  const channels = x.channels + (skip?.channels ?? 0);
  if (channels < 16) return false;
  const [, height, width, columns] = out.shape;
  const tiles = Math.ceil(height / 4) * Math.ceil(width / 4);
  const panels = up(columns, 8);
  const direct = 9 * up(height * width, rowBlock) * (panels / 8 + 1.2);
  const last = tiles % rowBlock;
  const rows = tiles - last + (last > 4 ? rowBlock : last > 0 ? 4 : 0);
  // Beside the products: the filters (some 11 cycles each), and both transforms of the tiles.
  const winograd = 36 * rows * (panels / 8 + 1.5) + 13 * panels;
  return winograd < direct;
}

/** A run of 4×4 tiles that is transformed, multiplied and written before the next one is begun. */
interface Band {
  readonly firstTile: number;
  readonly tiles: number;
  /** Pixels that its input spans, counted over the whole batch. */
  readonly firstRow: number;
  readonly rows: number;
}

export function lowerWinograd(code: Code, op: GemmOp, out: Tensor, target: Target): void {
  const { x, skip, geometry, upsample, norm } = op;
  if (!geometry) throw new Error('Winograd is for convolutions');
  const { padding, wrap } = geometry;
  const channels = x.channels + (skip?.channels ?? 0);
  const [, storedHeight, storedWidth] = x.shape;
  const [batch, height, width] = out.shape;
  const tilesX = Math.ceil(width / 4);
  const tilesY = Math.ceil(height / 4);
  const blocksOf = ({ tiles }: Band): number => Math.ceil(tiles / target.rowBlock);
  const blockBytes = 36 * channels * target.rowBlock * 4;

  const whole: Band = {
    firstTile: 0,
    tiles: batch * tilesX * tilesY,
    firstRow: 0,
    rows: batch * storedHeight * storedWidth,
  };
  const bands: Band[] = [];
  const tileLines = Math.max(
    1,
    Math.floor(MOST_TRANSFORMED / 2 / (blockBytes / target.rowBlock) / tilesX),
  );
  if (blocksOf(whole) * blockBytes <= MOST_TRANSFORMED) bands.push(whole);
  else
    for (let picture = 0; picture < batch; picture++)
      for (let line = 0; line < tilesY; line += tileLines) {
        const lines = Math.min(tileLines, tilesY - line);
        const top = Math.max(0, line * 4 - padding.top);
        const bottom = Math.min(storedHeight, (line + lines) * 4 + 2 - padding.top);
        bands.push({
          firstTile: (picture * tilesY + line) * tilesX,
          tiles: lines * tilesX,
          firstRow: (picture * storedHeight + top) * storedWidth,
          rows: Math.max(0, bottom - top) * storedWidth,
        });
      }

  // A norm is applied band by band too, unless rows wrap around to the far end of the picture.
  const normWhole = norm !== undefined && (wrap.y || bands.length === 1);
  const most = (of: (band: Band) => number): number => Math.max(...bands.map(of));
  const transformed = target.workspace(most(blocksOf) * blockBytes);
  const normed =
    norm &&
    target.workspace(channels * 4 * (normWhole ? whole : { rows: most((b) => b.rows) }).rows);
  if (normed !== undefined && normWhole) applyNorm(code, op, normed, whole, target);

  const panels = Math.ceil(out.channels / 8);
  for (const band of bands) {
    const rowBlocks = blocksOf(band);
    const common = (kind: number): Instruction =>
      new Instruction(kind)
        .arena(L.TRANSFORMED, transformed)
        .set(L.ROW_BLOCKS, rowBlocks)
        .set(L.TILES_X, tilesX)
        .set(L.TILES_Y, tilesY)
        .set(L.FIRST_TILE, band.firstTile)
        .set(L.TILE_COUNT, band.tiles);
    const input = common(L.OP_WINOGRAD_INPUT)
      .set(L.PAD_TOP, padding.top)
      .set(L.PAD_LEFT, padding.left)
      .set(L.HEIGHT, upsample?.[0] ?? storedHeight)
      .set(L.WIDTH, upsample?.[1] ?? storedWidth)
      .set(L.STORED_HEIGHT, storedHeight)
      .set(L.STORED_WIDTH, storedWidth)
      .set(L.WRAP_X, wrap.x ? 1 : 0)
      .set(L.WRAP_Y, wrap.y ? 1 : 0);
    if (normed === undefined)
      input
        .arena(L.X, target.at(x))
        .set(L.C0, x.channels)
        .arena(L.SKIP, skip && target.at(skip))
        .set(L.C1, skip?.channels ?? 0);
    else {
      if (!normWhole) applyNorm(code, op, normed, band, target);
      input
        .arena(L.X, normed)
        .set(L.C0, channels)
        .set(L.FIRST_LINE, normWhole ? 0 : band.firstRow / storedWidth);
    }
    code.add(input, rowBlocks, band.tiles * channels * 200);

    const strips = Math.ceil(rowBlocks / TASK_BLOCKS);
    const product = common(L.OP_WINOGRAD_PRODUCT)
      .set(L.C0, channels)
      .set(L.TASK_BLOCKS, Math.ceil(rowBlocks / strips))
      .set(L.TILE_PANELS, Math.min(panels, TASK_PANELS))
      .set(L.PANELS, panels)
      .set(L.OUT_HEIGHT, height)
      .set(L.OUT_WIDTH, width);
    epilogueFields(product, op, out, target);
    const flops = 72 * band.tiles * channels * out.channels;
    code.add(product, strips * Math.ceil(panels / TASK_PANELS), flops);
  }
}
