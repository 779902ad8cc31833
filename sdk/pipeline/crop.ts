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
  const isWider = width / height < image.width / image.height;
  const { out, w, h, left, top } = centred(image, width, height, isWider);
  const row = width * out.channels;
  for (let i = 0; i < row; i++) extend(out.data, i, row, top, h, height);
  for (let y = 0; y < height; y++)
    for (let c = 0; c < out.channels; c++)
      extend(out.data, y * row + c, out.channels, left, w, width);
  return out;
}

/**
 * Extends a line of `count` values, `step` apart, from place `first` of it on to both sides of it by as
 * many as there are before, up to place `end`. What is there is what Pillow's bicubic resize makes of a
 * box of no size at an edge, as diffusers asks for: 9/8 of the outermost value less 1/8 of the next.
 */
function extend(
  data: Uint8Array,
  start: number,
  step: number,
  first: number,
  count: number,
  end: number,
): void {
  const at = (place: number): number => start + place * step;
  const last = first + count - 1;
  const inner = Math.min(1, count - 1);
  const beyond = (outermost: number, next: number): number =>
    Math.min(255, Math.max(0, Math.floor((9 * data[at(outermost)] - data[at(next)]) / 8 + 0.5)));
  const before = beyond(first, first + inner);
  const after = beyond(last, last - inner);
  for (let i = 0; i < first; i++) {
    data[at(i)] = before;
    if (last + 1 + i < end) data[at(last + 1 + i)] = after;
  }
}

/** Resized to cover a size, the excess cut off evenly. Follows `_resize_and_crop`. */
export function covering(image: Pixels, width: number, height: number): Pixels {
  const isWider = width / height > image.width / image.height;
  return centred(image, width, height, isWider).out;
}

/** Resized to the width or the height of a size, in the middle of it. */
function centred(image: Pixels, width: number, height: number, byWidth: boolean) {
  const { channels } = image;
  const w = byWidth ? width : Math.floor((image.width * height) / image.height);
  const h = byWidth ? Math.floor((image.height * width) / image.width) : height;
  const out = { width, height, channels, data: new Uint8Array(width * height * channels) };
  const left = Math.floor(width / 2) - Math.floor(w / 2);
  const top = Math.floor(height / 2) - Math.floor(h / 2);
  paste(out, stretched(image, w, h), left, top);
  return { out, w, h, left, top };
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
