import type { SecondPass } from '../options.ts';
import type { Autoencoder, VaeMode } from './autoencoder.ts';
import { bilinear, nearest } from './interpolate.ts';
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
    const resize = upscaler === 'latent' ? bilinear : nearest;
    return { latents: Float32Array.from(resize(latents, shape, to[2], to[3])), strength };
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
