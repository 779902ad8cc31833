import type { Picture } from '../image.ts';
import { stretched, type Pixels } from './crop.ts';

/** RGB of a picture laid on white. */
export function rgbOf({ data, width, height }: Picture): Pixels {
  const rgb = new Uint8Array(width * height * 3);
  for (let p = 0; p < width * height; p++) {
    const alpha = data[p * 4 + 3];
    for (let c = 0; c < 3; c++)
      rgb[p * 3 + c] =
        alpha === 255
          ? data[p * 4 + c]
          : Math.round((data[p * 4 + c] * alpha + 255 * (255 - alpha)) / 255);
  }
  return { width, height, channels: 3, data: rgb };
}

/**
 * A mask as one channel: its brightness laid on black, so that strokes on a transparent canvas are
 * what is masked.
 */
export function maskOf({ data, width, height }: Picture): Pixels {
  const mask = Uint8Array.from({ length: width * height }, (_, p) => {
    // Pillow's "L": ITU-R 601 luma in 16-bit fixed point.
    const luma =
      (data[p * 4] * 19595 + data[p * 4 + 1] * 38470 + data[p * 4 + 2] * 7471 + 0x8000) >> 16;
    return Math.round((luma * data[p * 4 + 3]) / 255);
  });
  return { width, height, channels: 1, data: mask };
}

/** The mask that a picture's own transparency is: its holes are to be painted. */
export function maskOfHoles({ data, width, height }: Picture): Pixels {
  const mask = Uint8Array.from({ length: width * height }, (_, p) => 255 - data[p * 4 + 3]);
  return { width, height, channels: 1, data: mask };
}

/** @returns NCHW `[1, 3, height, width]`, −1..1 */
export function toTensor({ data, width, height }: Pixels): Float32Array {
  const pixels = width * height;
  const out = new Float32Array(3 * pixels);
  for (let c = 0; c < 3; c++)
    for (let p = 0; p < pixels; p++)
      out[c * pixels + p] = Math.fround(2 * Math.fround(data[p * 3 + c] / 255)) - 1;
  return out;
}

/** A mask cut at one half. @returns `[height · width]`, 1 where the picture is painted anew */
export function binarised({ data }: Pixels): Float32Array {
  return Float32Array.from(data, (value) => (value / 255 >= 0.5 ? 1 : 0));
}

/**
 * A picture as the VAE takes it, resized where it must be. Transparent pixels are laid on white.
 * @returns NCHW `[1, 3, height, width]`, −1..1
 */
export function fromPicture(picture: Picture, width: number, height: number): Float32Array {
  return toTensor(stretched(rgbOf(picture), width, height));
}

/** Picture `index` of NCHW `[pictures, 3, height, width]` in about −1..1, rounded half to even. */
export function toPicture(
  images: Float32Array,
  index: number,
  width: number,
  height: number,
): Picture {
  const pixels = width * height;
  const data = new Uint8ClampedArray(pixels * 4);
  for (let p = 0; p < pixels; p++) {
    for (let c = 0; c < 3; c++) {
      const x = images[(index * 3 + c) * pixels + p];
      // Uint8ClampedArray rounds half to even, as numpy does.
      data[p * 4 + c] = Math.fround(Math.min(1, Math.max(0, Math.fround(x * 0.5 + 0.5))) * 255);
    }
    data[p * 4 + 3] = 255;
  }
  return { width, height, data };
}

/** Opaque RGB as a picture. */
export function pictureOf({ data, width, height }: Pixels): Picture {
  const rgba = new Uint8ClampedArray(width * height * 4).fill(255);
  for (let p = 0; p < width * height; p++) rgba.set(data.subarray(p * 3, p * 3 + 3), p * 4);
  return { width, height, data: rgba };
}
