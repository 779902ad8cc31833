import type { SecondPass } from '../options.ts';
import type { Autoencoder, VaeMode } from './autoencoder.ts';
import { fromPicture, toPicture } from './pixels.ts';
import type { InitialImage, Job, LatentShape } from './request.ts';
import { stack } from './layout.ts';

/**
 * The second pass of a job, at its higher size: image-to-image from the first, with fresh noise of the
 * same seeds, as A1111's "hires fix" goes about it. It still lacks the picture.
 * @param sizeStep width and height must be multiples of this
 * @param most steps that the model was trained with
 */
export function secondPassJob(
  job: Job,
  { scale, strength, steps }: Required<SecondPass>,
  sizeStep: number,
  most: number,
): Job {
  const side = (pixels: number): number => Math.floor((pixels * scale) / sizeStep) * sizeStep;
  return {
    ...job,
    width: side(job.width),
    height: side(job.height),
    // The smallest schedule of which `strength` leaves `steps` to run.
    steps: Math.min(most, Math.ceil(steps / Math.max(strength, 1e-3))),
    timesteps: undefined,
    sigmas: undefined,
    latents: undefined,
    secondPass: undefined,
    image: { strength },
  };
}

/** The first pass's latents as what the second one starts from. */
export async function enlarge(
  latents: Float32Array,
  shape: LatentShape,
  to: LatentShape,
  { upscaler, strength }: Required<SecondPass>,
  vae: Autoencoder,
  mode: VaeMode,
): Promise<InitialImage> {
  if (upscaler !== 'lanczos') {
    const resized = upscaler === 'latent' ? bilinear : nearest;
    return { latents: resized(latents, shape, to[2], to[3]), strength };
  }
  const [pictures, , height, width] = shape;
  const { scale } = vae.model;
  const images = await vae.decode(latents, shape, mode);
  const larger: Float32Array[] = [];
  for (let i = 0; i < pictures; i++) {
    const picture = toPicture(images, i, width * scale, height * scale);
    larger.push(fromPicture(picture, to[3] * scale, to[2] * scale));
  }
  return { data: stack(larger), strength };
}

/** `torch.nn.functional.interpolate(mode='nearest')`. */
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

/** `torch.nn.functional.interpolate(mode='bilinear')`: corners not aligned, no antialiasing. */
export function bilinear(
  x: Float32Array,
  shape: LatentShape,
  newHeight: number,
  newWidth: number,
): Float32Array {
  const [pictures, channels, height, width] = shape;
  const rows = taps(height, newHeight);
  const columns = taps(width, newWidth);
  const out = new Float32Array(pictures * channels * newHeight * newWidth);
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
