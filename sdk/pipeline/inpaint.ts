import { invalid } from '../checks.ts';
import type { Picture } from '../image.ts';
import { gaussianBlur } from './blur.ts';
import { covering, cropRegion, cut, filled, paste, stretched } from './crop.ts';
import type { Pixels, Region } from './crop.ts';
import { binarised, maskOf, maskOfHoles, pictureOf, rgbOf, toTensor } from './pixels.ts';

export interface InpaintOptions {
  /** Of what the model paints. */
  readonly width: number;
  readonly height: number;
  /** Standard deviation in pixels of the picture. */
  readonly blur: number;
  /** Paint only the masked region with so many pixels around it; undefined paints the whole. */
  readonly padding: number | undefined;
}

/** What the model is given of picture and mask, and how its paintings become the finished pictures. */
export interface Inpainting {
  /** NCHW `[1, 3, height, width]`, −1..1. */
  readonly data: Float32Array;
  /** `[height · width]`, 1 where it is painted anew. */
  readonly mask: Float32Array;
  finish(painted: Picture): Picture;
}

/**
 * Prepares inpainting as diffusers' pipeline does, with its `padding_mask_crop` where asked.
 * @throws SDError `INVALID_OPTION` where mask and picture differ in size, or nothing is masked
 */
export function prepareInpainting(
  image: Picture,
  mask: Picture | 'alpha',
  { width, height, blur, padding }: InpaintOptions,
): Inpainting {
  if (mask !== 'alpha' && (mask.width !== image.width || mask.height !== image.height))
    throw invalid(
      `The mask is ${mask.width}×${mask.height} and the picture ${image.width}×${image.height}; they must be of one size.`,
    );
  const original = rgbOf(image);
  const sharp = mask === 'alpha' ? maskOfHoles(image) : maskOf(mask);
  const soft = { ...sharp, data: gaussianBlur(sharp.data, sharp.width, sharp.height, blur) };
  const region = padding === undefined ? undefined : cropRegion(soft, width, height, padding);
  const fit = (pixels: Pixels): Pixels =>
    region ? filled(cut(pixels, region), width, height) : stretched(pixels, width, height);
  return {
    data: toTensor(fit(original)),
    mask: binarised(fit(soft)),
    finish(painted) {
      if (region) return pictureOf(overlaid(rgbOf(painted), original, soft, region));
      if (blur === 0) return painted;
      return pictureOf(overlaid(rgbOf(painted), fit(original), fit(soft)));
    },
  };
}

/**
 * Lays what the mask keeps of `original` over what was painted, in the arithmetic of Pillow: diffusers'
 * `VaeImageProcessor.apply_overlay`.
 * @param region where `painted` belongs; the whole by default
 */
function overlaid(painted: Pixels, original: Pixels, mask: Pixels, region?: Region): Pixels {
  let out = painted;
  if (region) {
    const { left, top, right, bottom } = region;
    out = { ...original, data: new Uint8Array(original.data.length) };
    paste(out, covering(painted, right - left, bottom - top), left, top);
  }
  const data = out.data.map((below, i) => {
    const alpha = 255 - mask.data[Math.floor(i / 3)];
    if (alpha === 0) return below;
    // Pasting through a mask premultiplies, converting back divides: both round.
    const premultiplied = div255(original.data[i] * alpha + 128);
    const above =
      alpha === 255 ? premultiplied : Math.min(255, Math.trunc((255 * premultiplied) / alpha));
    // Compositing has 7 bits more.
    const sum = above * alpha * 128 + below * (255 * 128 - alpha * 128);
    return div255(sum + 128 * 128) >> 7;
  });
  return { ...out, data };
}

/** Pillow's division by 255 of what has half of 256 added already. */
const div255 = (x: number): number => ((x >> 8) + x) >> 8;
