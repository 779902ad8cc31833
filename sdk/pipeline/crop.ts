import { invalid } from '../checks.ts';
import { resize } from './resample.ts';

/** A rectangle in pixels, from the top left, ends not included. */
export interface Region {
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
}

/** 8-bit pixels, `[height, width, channels]`. */
export interface Pixels {
  readonly width: number;
  readonly height: number;
  readonly channels: number;
  readonly data: Uint8Array;
}

/**
 * The smallest region around all that is masked, padded, and widened to the shape of what will be
 * painted. Follows diffusers' `VaeImageProcessor.get_crop_region`.
 * @param mask one channel, above 0 where it is masked
 * @throws SDError `INVALID_OPTION` for a mask that masks nothing
 */
export function cropRegion(mask: Pixels, width: number, height: number, padding: number): Region {
  let [left, top, right, bottom] = [mask.width, mask.height, 0, 0];
  mask.data.forEach((value, i) => {
    if (value === 0) return;
    const [x, y] = [i % mask.width, Math.floor(i / mask.width)];
    left = Math.min(left, x);
    top = Math.min(top, y);
    right = Math.max(right, x + 1);
    bottom = Math.max(bottom, y + 1);
  });
  if (right === 0)
    throw invalid(
      'The mask is empty: paint white what is to be painted anew, or leave maskPadding out.',
    );
  left = Math.max(left - padding, 0);
  top = Math.max(top - padding, 0);
  right = Math.min(right + padding, mask.width);
  bottom = Math.min(bottom + padding, mask.height);

  const shape = width / height;
  if ((right - left) / (bottom - top) > shape) {
    const wanted = (right - left) / shape;
    [top, bottom] = widened(top, bottom, wanted, mask.height);
  } else {
    const wanted = (bottom - top) * shape;
    [left, right] = widened(left, right, wanted, mask.width);
  }
  return { left, top, right, bottom };
}

/** Grows `[from, to)` to `wanted` on both sides, moved to stay within `[0, size)`, cut where it cannot. */
function widened(from: number, to: number, wanted: number, size: number): [number, number] {
  const more = Math.trunc(wanted - (to - from));
  from -= Math.floor(more / 2);
  to += more - Math.floor(more / 2);
  if (to >= size) {
    from -= to - size;
    to = size;
  }
  if (from < 0) {
    to -= from;
    from = 0;
  }
  return [from, Math.min(to, size)];
}

export function cut({ channels, width, data }: Pixels, region: Region): Pixels {
  const [w, h] = [region.right - region.left, region.bottom - region.top];
  const out = new Uint8Array(w * h * channels);
  for (let y = 0; y < h; y++) {
    const from = ((region.top + y) * width + region.left) * channels;
    out.set(data.subarray(from, from + w * channels), y * w * channels);
  }
  return { width: w, height: h, channels, data: out };
}

/** Resized to any shape. */
export function stretched(image: Pixels, width: number, height: number): Pixels {
  const { data, channels } = image;
  const resized = resize(data, channels, image.width, image.height, width, height);
  return { width, height, channels, data: resized };
}

/**
 * Resized to fit within a size, in the middle of it; the rest is filled from the picture's edges.
 * Follows diffusers' `VaeImageProcessor._resize_and_fill`.
 */
export function filled(image: Pixels, width: number, height: number): Pixels {
  const { channels } = image;
  const isWider = width / height < image.width / image.height;
  const w = isWider ? width : Math.floor((image.width * height) / image.height);
  const h = isWider ? Math.floor((image.height * width) / image.width) : height;
  const small = stretched(image, w, h);
  const out = { width, height, channels, data: new Uint8Array(width * height * channels) };
  const left = Math.floor(width / 2) - Math.floor(w / 2);
  const top = Math.floor(height / 2) - Math.floor(h / 2);
  paste(out, small, left, top);
  const rows = { count: h, pixel: (y: number, x: number) => (y * w + x) * channels };
  const columns = { count: w, pixel: (x: number, y: number) => (y * w + x) * channels };
  for (let i = 0; i < top; i++) {
    paste(out, edgeLine(small, rows, w, 0), 0, i);
    if (top + h + i < height) paste(out, edgeLine(small, rows, w, h - 1), 0, top + h + i);
  }
  for (let i = 0; i < left; i++) {
    paste(out, upright(edgeLine(small, columns, h, 0)), i, 0);
    if (left + w + i < width)
      paste(out, upright(edgeLine(small, columns, h, w - 1)), left + w + i, 0);
  }
  return out;
}

/**
 * What Pillow's bicubic resize makes of a box of no size at an edge, as diffusers asks for: 9/8 of the
 * outermost line less 1/8 of the next.
 */
function edgeLine(
  { channels, data }: Pixels,
  { count, pixel }: { count: number; pixel: (line: number, along: number) => number },
  length: number,
  line: number,
): Pixels {
  const next = Math.min(count - 1, Math.max(0, line === 0 ? 1 : line - 1));
  const out = new Uint8Array(length * channels);
  for (let i = 0; i < length; i++)
    for (let c = 0; c < channels; c++) {
      const value = (9 * data[pixel(line, i) + c] - data[pixel(next, i) + c]) / 8;
      out[i * channels + c] = Math.min(255, Math.max(0, Math.floor(value + 0.5)));
    }
  return { width: length, height: 1, channels, data: out };
}

const upright = (line: Pixels): Pixels => ({ ...line, width: 1, height: line.width });

/** Resized to cover a size, the excess cut off evenly. Follows `_resize_and_crop`. */
export function covering(image: Pixels, width: number, height: number): Pixels {
  const { channels } = image;
  const isWider = width / height > image.width / image.height;
  const w = isWider ? width : Math.floor((image.width * height) / image.height);
  const h = isWider ? Math.floor((image.height * width) / image.width) : height;
  const out = { width, height, channels, data: new Uint8Array(width * height * channels) };
  const left = Math.floor(width / 2) - Math.floor(w / 2);
  const top = Math.floor(height / 2) - Math.floor(h / 2);
  paste(out, stretched(image, w, h), left, top);
  return out;
}

/** Lays `image` on `onto`, in place; what lies outside is lost. */
export function paste(onto: Pixels, image: Pixels, left: number, top: number): void {
  const { channels } = onto;
  for (let y = Math.max(0, -top); y < image.height && top + y < onto.height; y++)
    for (let x = Math.max(0, -left); x < image.width && left + x < onto.width; x++) {
      const from = (y * image.width + x) * channels;
      const to = ((top + y) * onto.width + left + x) * channels;
      for (let c = 0; c < channels; c++) onto.data[to + c] = image.data[from + c];
    }
}
