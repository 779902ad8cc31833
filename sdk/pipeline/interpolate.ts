import type { LatentShape } from './request.ts';

/** `torch.nn.functional.interpolate(mode='nearest')`: source = ⌊target · ratio⌋. */
export function nearest(
  x: Float32Array,
  shape: LatentShape,
  newHeight: number,
  newWidth: number,
): Float32Array {
  const [, , height, width] = shape;
  const size = newHeight * newWidth;
  return Float32Array.from({ length: shape[0] * shape[1] * size }, (_, i) => {
    const row = Math.floor((Math.floor((i % size) / newWidth) * height) / newHeight);
    const column = Math.floor(((i % newWidth) * width) / newWidth);
    return x[(Math.floor(i / size) * height + row) * width + column];
  });
}

/**
 * `torch.nn.functional.interpolate(mode='bilinear')`: corners not aligned, no antialiasing. Not rounded
 * to f32 yet.
 */
export function bilinear(
  x: Float32Array,
  shape: LatentShape,
  newHeight: number,
  newWidth: number,
): Float64Array {
  const [pictures, channels, height, width] = shape;
  const rows = taps(height, newHeight);
  const columns = taps(width, newWidth);
  const out = new Float64Array(pictures * channels * newHeight * newWidth);
  let to = 0;
  for (let plane = 0; plane < pictures * channels; plane++)
    for (const row of rows)
      for (const column of columns) {
        const at = (y: number): number => {
          const start = (plane * height + y) * width;
          return x[start + column.from] * (1 - column.part) + x[start + column.next] * column.part;
        };
        out[to++] = at(row.from) * (1 - row.part) + at(row.next) * row.part;
      }
  return out;
}

/** For each new place, the two old ones around its middle and how far it is from the first. */
function taps(size: number, newSize: number): { from: number; next: number; part: number }[] {
  return Array.from({ length: newSize }, (_, i) => {
    const place = Math.max(0, ((i + 0.5) * size) / newSize - 0.5);
    const from = Math.min(Math.floor(place), size - 1);
    return { from, next: Math.min(from + 1, size - 1), part: place - from };
  });
}
