/** A shape of gemm.wgsl: rows × columns of a workgroup's tile, and of a thread's part of it. */
export interface Tile {
  readonly rows: number;
  /** Words of four columns. */
  readonly words: number;
  /** Depth of a staged block, in words. */
  readonly depth: number;
  readonly threadRows: number;
  readonly threadWords: number;
}

const tile = (
  rows: number,
  columns: number,
  threadRows: number,
  threadColumns: number,
  depth = 16,
): Tile => ({
  rows,
  words: columns / 4,
  depth: depth / 4,
  threadRows,
  threadWords: threadColumns / 4,
});

/**
 * No tile wins everywhere: large discrete GPUs want 128×64 with 256 threads, Apple's want few
 * threads and small tiles, and a picture's last convolution has three columns.
 */
export const TILES = {
  '32x32': tile(32, 32, 4, 4),
  '32x64': tile(32, 64, 4, 8),
  '64x64': tile(64, 64, 4, 4),
  '64x64-wide': tile(64, 64, 8, 8),
  '128x64': tile(128, 64, 8, 4),
  '64x8': tile(64, 8, 4, 4),
} as const satisfies Record<string, Tile>;

export type TileName = keyof typeof TILES;

export const TILE_NAMES = Object.keys(TILES) as TileName[];

export function threadsOf({ rows, words, threadRows, threadWords }: Tile): number {
  return (rows / threadRows) * (words / threadWords);
}

/** With GEGLU a thread holds a word of values beside the word of their gates. */
export function fits(name: TileName, geglu: boolean): boolean {
  return !geglu || TILES[name].threadWords === 2;
}

/** A matrix product as the choice of a tile sees it. */
export interface Product {
  readonly rows: number;
  /** Words of a row of the sum (before GEGLU halves it). */
  readonly words: number;
  /** Channels per tap, and taps. */
  readonly channels: number;
  readonly taps: number;
  readonly geglu: boolean;
}

export interface Choice {
  readonly tile: TileName;
  /** Parts into which the sum over k is cut, where tiles alone would not fill the device. */
  readonly splits: number;
}

/** Workgroups that a device should have to work on; more than its cores, to hide latency. */
const ENOUGH = 128;
const MOST_SPLITS = 16;
const FEW_ROWS = 8;
/** Blocks below which a split costs more than it brings. */
const BLOCKS_PER_SPLIT = 8;

/** Depth blocks of a product: taps one after another, each in whole blocks. */
export function blocksOf(product: Product, { depth }: Tile): number {
  return product.taps * Math.ceil(product.channels / (4 * depth));
}

export function groupsOf(product: Product, { rows, words }: Tile): number {
  return Math.ceil(product.rows / rows) * Math.ceil(product.words / words);
}

/** What to do where nothing was measured: the largest tile that fills the device. */
export function guess(product: Product): Choice {
  if (product.words <= TILES['64x8'].words && !product.geglu) return { tile: '64x8', splits: 1 };
  const order: TileName[] = product.geglu ? ['64x64-wide', '32x64'] : ['128x64', '64x64', '32x32'];
  const filling = order.find((name) => groupsOf(product, TILES[name]) >= ENOUGH);
  if (filling) return { tile: filling, splits: 1 };
  // A few rows (time embeddings) are over before a second dispatch would begin.
  if (product.rows <= FEW_ROWS) return { tile: product.geglu ? '32x64' : '32x32', splits: 1 };
  const name = product.geglu ? '32x64' : product.rows > 32 ? '64x64' : '32x32';
  const split = splitsOf(product, name);
  // Without enough depth to split, small tiles are the other way to make many.
  if (split === 1 && !product.geglu) return { tile: '32x32', splits: 1 };
  return { tile: name, splits: split };
}

/** Splits that make enough workgroups of a tile. */
export function splitsOf(product: Product, name: TileName): number {
  const groups = groupsOf(product, TILES[name]);
  const blocks = blocksOf(product, TILES[name]);
  const wanted = Math.min(
    Math.ceil(ENOUGH / groups),
    Math.floor(blocks / BLOCKS_PER_SPLIT),
    MOST_SPLITS,
  );
  return Math.max(1, wanted);
}
