import type { Picture } from '../image.ts';
import { resize } from './resample.ts';

/**
 * A picture as the VAE takes it, resized where it must be. Transparent pixels are laid on white.
 * @returns NCHW `[1, 3, height, width]`, −1..1
 */
export function fromPicture(picture: Picture, width: number, height: number): Float32Array {
  const rgb = resize(opaque(picture), 3, picture.width, picture.height, width, height);
  const pixels = width * height;
  const out = new Float32Array(3 * pixels);
  for (let c = 0; c < 3; c++)
    for (let p = 0; p < pixels; p++)
      out[c * pixels + p] = Math.fround(2 * Math.fround(rgb[p * 3 + c] / 255)) - 1;
  return out;
}

/**
 * A mask from a picture's brightness: resized first, then cut at one half, as diffusers does.
 * @returns `[height · width]`, 1 where the picture is painted anew
 */
export function maskFromPicture(mask: Picture, width: number, height: number): Float32Array {
  const rgb = resize(opaque(mask), 3, mask.width, mask.height, width, height);
  return Float32Array.from({ length: width * height }, (_, p) => {
    // Pillow's "L": ITU-R 601 luma in 16-bit fixed point.
    const luma =
      (rgb[p * 3] * 19595 + rgb[p * 3 + 1] * 38470 + rgb[p * 3 + 2] * 7471 + 0x8000) >> 16;
    return luma / 255 >= 0.5 ? 1 : 0;
  });
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

/** RGB of a picture laid on white. */
function opaque({ data, width, height }: Picture): Uint8Array {
  const rgb = new Uint8Array(width * height * 3);
  for (let p = 0; p < width * height; p++) {
    const alpha = data[p * 4 + 3];
    for (let c = 0; c < 3; c++)
      rgb[p * 3 + c] =
        alpha === 255
          ? data[p * 4 + c]
          : Math.round((data[p * 4 + c] * alpha + 255 * (255 - alpha)) / 255);
  }
  return rgb;
}
