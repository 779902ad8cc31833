/** Tiles of a VAE, as diffusers names and rounds them. */
export interface Tiling {
  /** Edge of a tile before and after: `tile_latent_min_size`, `tile_sample_min_size` or the reverse. */
  readonly from: number;
  readonly to: number;
  /** Part of a tile shared with its neighbour (`tile_overlap_factor`). */
  readonly overlap: number;
}

interface Image {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/**
 * Takes large latents or a large picture through the VAE tile by tile and blends the seams linearly.
 * Follows diffusers' `AutoencoderKL.tiled_decode` and `_tiled_encode`: the result differs from that of
 * the whole, since group norm and attention see one tile at a time.
 *
 * @param data NCHW of `shape`
 * @param run takes one NCHW tile through
 */
export async function mapTiles(
  data: Float32Array,
  shape: readonly number[],
  { from, to, overlap }: Tiling,
  run: (tile: Float32Array, shape: readonly number[]) => Promise<Float32Array>,
): Promise<Float32Array> {
  const [batch, channels, height, width] = shape;
  const stride = Math.floor(from * (1 - overlap));
  const blend = Math.floor(to * overlap);

  const rows: Image[][] = [];
  for (let y = 0; y < height; y += stride) {
    const row: Image[] = [];
    for (let x = 0; x < width; x += stride) {
      const size = [batch, channels, Math.min(from, height - y), Math.min(from, width - x)];
      const tile = await run(cut({ shape, data }, y, x, size), size);
      const [h, w] = [(size[2] * to) / from, (size[3] * to) / from];
      row.push({ shape: [batch, tile.length / (batch * h * w), h, w], data: tile });
    }
    rows.push(row);
  }

  // The tile above first, then the one to the left, both already blended themselves.
  rows.forEach((row, i) =>
    row.forEach((tile, j) => {
      if (i > 0) blendInto(tile, rows[i - 1][j], 2, blend);
      if (j > 0) blendInto(tile, row[j - 1], 3, blend);
    }),
  );
  return join(rows, to - blend);
}

function cut(from: Image, top: number, left: number, shape: readonly number[]): Float32Array {
  const [batch, channels, height, width] = shape;
  const [, , fromHeight, fromWidth] = from.shape;
  const out = new Float32Array(batch * channels * height * width);
  for (let plane = 0; plane < batch * channels; plane++)
    for (let y = 0; y < height; y++) {
      const at = (plane * fromHeight + top + y) * fromWidth + left;
      out.set(from.data.subarray(at, at + width), (plane * height + y) * width);
    }
  return out;
}

/** Blends the last rows (axis 2) or columns (axis 3) of `before` into the first of `tile`. */
function blendInto(tile: Image, before: Image, axis: 2 | 3, most: number): void {
  const [length, lengthBefore] = [tile.shape[axis], before.shape[axis]];
  const extent = Math.min(lengthBefore, length, most);
  const inner = axis === 2 ? tile.shape[3] : 1;
  for (let outer = 0; outer < tile.data.length / (length * inner); outer++)
    for (let line = 0; line < extent; line++)
      for (let i = 0; i < inner; i++) {
        const at = (outer * length + line) * inner + i;
        const a = before.data[((outer + 1) * lengthBefore - extent + line) * inner + i];
        tile.data[at] = a * (1 - line / extent) + tile.data[at] * (line / extent);
      }
}

/** The tiles side by side, of each at most `limit` rows and columns. */
function join(rows: readonly (readonly Image[])[], limit: number): Float32Array {
  const kept = (tile: Image, axis: number): number => Math.min(limit, tile.shape[axis]);
  const [batch, channels] = rows[0][0].shape;
  const height = rows.reduce((sum, row) => sum + kept(row[0], 2), 0);
  const width = rows[0].reduce((sum, tile) => sum + kept(tile, 3), 0);
  const out = new Float32Array(batch * channels * height * width);
  let top = 0;
  for (const row of rows) {
    let left = 0;
    for (const tile of row) {
      const [, , h, w] = tile.shape;
      for (let plane = 0; plane < batch * channels; plane++)
        for (let y = 0; y < kept(tile, 2); y++) {
          const at = (plane * h + y) * w;
          const line = tile.data.subarray(at, at + kept(tile, 3));
          out.set(line, (plane * height + top + y) * width + left);
        }
      left += kept(tile, 3);
    }
    top += kept(row[0], 2);
  }
  return out;
}
