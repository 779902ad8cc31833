/** Tiles of a VAE, as diffusers names and rounds them. */
export interface Tiling {
  /** Edge of a tile in latent pixels (`tile_latent_min_size`). */
  readonly latentSize: number;
  /** Edge of a tile in picture pixels (`tile_sample_min_size`). */
  readonly sampleSize: number;
  /** Part of a tile shared with its neighbour (`tile_overlap_factor`). */
  readonly overlap: number;
  /** Picture pixels per latent pixel. */
  readonly scale: number;
}

interface Image {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

type RunTile = (tile: Float32Array, shape: readonly number[]) => Promise<Float32Array>;

/**
 * Decodes large latents tile by tile and blends the seams linearly. Follows diffusers'
 * `AutoencoderKL.tiled_decode`: the result differs from an untiled decode, since group norm and
 * attention see one tile at a time.
 *
 * @param latents NCHW, unscaled, of `shape`
 * @param decode decodes one NCHW tile to an NCHW picture
 */
export function decodeTiled(
  latents: Float32Array,
  shape: readonly number[],
  { latentSize, sampleSize, overlap, scale }: Tiling,
  decode: RunTile,
): Promise<Float32Array> {
  return mapTiles({ shape, data: latents }, latentSize, sampleSize, overlap, scale, decode);
}

/**
 * Encodes a large picture tile by tile. Follows diffusers' `AutoencoderKL._tiled_encode`.
 * @param image NCHW of `shape`
 * @param encode encodes one NCHW tile to NCHW moments
 */
export function encodeTiled(
  image: Float32Array,
  shape: readonly number[],
  { latentSize, sampleSize, overlap, scale }: Tiling,
  encode: RunTile,
): Promise<Float32Array> {
  return mapTiles({ shape, data: image }, sampleSize, latentSize, overlap, 1 / scale, encode);
}

/** @param from, to edges of a tile before and after; @param scale their ratio */
async function mapTiles(
  input: Image,
  from: number,
  to: number,
  overlap: number,
  scale: number,
  run: RunTile,
): Promise<Float32Array> {
  const [batch, channels, height, width] = input.shape;
  const stride = Math.floor(from * (1 - overlap));
  const blend = Math.floor(to * overlap);
  const limit = to - blend;

  const rows: Image[][] = [];
  for (let y = 0; y < height; y += stride) {
    const row: Image[] = [];
    for (let x = 0; x < width; x += stride) {
      const tileShape = [batch, channels, Math.min(from, height - y), Math.min(from, width - x)];
      const data = await run(cut(input, y, x, tileShape), tileShape);
      const [h, w] = [tileShape[2] * scale, tileShape[3] * scale];
      row.push({ shape: [batch, data.length / (batch * h * w), h, w], data });
    }
    rows.push(row);
  }

  // The tile above first, then the one to the left, both already blended themselves.
  rows.forEach((row, i) =>
    row.forEach((tile, j) => {
      if (i > 0) blendRows(rows[i - 1][j], tile, blend);
      if (j > 0) blendColumns(row[j - 1], tile, blend);
    }),
  );
  return join(
    rows.map((row) =>
      row.map((tile) => {
        const size = [Math.min(limit, tile.shape[2]), Math.min(limit, tile.shape[3])];
        const cropped = [tile.shape[0], tile.shape[1], ...size];
        return { shape: cropped, data: cut(tile, 0, 0, cropped) };
      }),
    ),
  );
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

/** Blends the last rows of `above` into the first rows of `tile`. */
function blendRows(above: Image, tile: Image, extent: number): void {
  const [batch, channels, height, width] = tile.shape;
  const aboveHeight = above.shape[2];
  const size = Math.min(aboveHeight, height, extent);
  for (let plane = 0; plane < batch * channels; plane++)
    for (let y = 0; y < size; y++)
      for (let x = 0; x < width; x++) {
        const at = (plane * height + y) * width + x;
        const a = above.data[(plane * aboveHeight + aboveHeight - size + y) * width + x];
        tile.data[at] = a * (1 - y / size) + tile.data[at] * (y / size);
      }
}

/** Blends the last columns of `left` into the first columns of `tile`. */
function blendColumns(left: Image, tile: Image, extent: number): void {
  const [batch, channels, height, width] = tile.shape;
  const leftWidth = left.shape[3];
  const size = Math.min(leftWidth, width, extent);
  for (let row = 0; row < batch * channels * height; row++)
    for (let x = 0; x < size; x++) {
      const at = row * width + x;
      const a = left.data[row * leftWidth + leftWidth - size + x];
      tile.data[at] = a * (1 - x / size) + tile.data[at] * (x / size);
    }
}

function join(rows: readonly (readonly Image[])[]): Float32Array {
  const [batch, channels] = rows[0][0].shape;
  const height = rows.reduce((sum, row) => sum + row[0].shape[2], 0);
  const width = rows[0].reduce((sum, tile) => sum + tile.shape[3], 0);
  const data = new Float32Array(batch * channels * height * width);
  let top = 0;
  for (const row of rows) {
    let left = 0;
    for (const tile of row) {
      const [, , h, w] = tile.shape;
      for (let plane = 0; plane < batch * channels; plane++)
        for (let y = 0; y < h; y++) {
          const at = (plane * h + y) * w;
          data.set(tile.data.subarray(at, at + w), (plane * height + top + y) * width + left);
        }
      left += w;
    }
    top += row[0].shape[2];
  }
  return data;
}
