import { createGenerator, slerp, type Generator, type GeneratorKind } from '../random/index.ts';
import type { Autoencoder, VaeMode } from './autoencoder.ts';
import { nearest } from './interpolate.ts';
import { joinRows, rowOf, stack } from './layout.ts';
import type { Pass } from './pass.ts';
import type { LatentShape, Variation } from './request.ts';

/** Where the loop starts, and what it is held to on the way. */
export interface Start {
  readonly sample: Float32Array;
  readonly inpaint?: Inpaint;
}

/** What inpainting needs at every step. All are of the batch's size. */
export interface Inpaint {
  /** Per latent pixel, 1 where the picture is painted anew: `[h · w]`. */
  readonly mask: Float32Array;
  /** Extra channels of a 9-channel UNet, `[pictures, 5, h, w]`: mask, masked picture's latents. */
  readonly extraChannels?: Float32Array;
  /** A 4-channel UNet paints everything; these bring back what is kept after each step. */
  readonly keep?: { readonly latents: Float32Array; readonly noise: Float32Array };
}

/**
 * First timestep of a run from a picture: `strength` of the way from the end. Follows diffusers'
 * `get_timesteps`.
 */
export function beginIndex(steps: number, strength: number, order: number): number {
  const taken = Math.min(Math.trunc(steps * strength), steps);
  return Math.max(steps - taken, 0) * order;
}

/**
 * The noisy sample that the loop begins with. The order of the draws is diffusers': picture, noise,
 * masked picture, then the sampler's own noise.
 */
export async function startOf(
  { job, shape, sampler, begin }: Pass,
  generator: Generator,
  vae: Autoencoder,
  unetChannels: number,
  mode: VaeMode,
): Promise<Start> {
  const { image } = job;
  const noise = (): Float32Array =>
    job.latents ?? varied(generator.randn(shape), shape, job.rng, job.variation);
  const scaled = (x: Float32Array): Float32Array =>
    x.map((v) => Math.fround(v * Math.fround(sampler.initNoiseSigma)));
  if (!image) return { sample: scaled(noise()) };

  const at = sampler.timesteps[begin];
  const encode = async (pixels: Float32Array): Promise<Float32Array> => {
    const pictures = pixels.length / (vae.model.imageChannels * job.height * job.width);
    // One draw for the whole batch, or one each where every picture has its own generator.
    const draws = Math.max(pictures, typeof job.seed === 'number' ? 1 : job.seed.length);
    const encoded = await vae.encode(pixels, job.height, job.width, generator, draws, mode);
    return repeated(encoded, shape[0] / draws);
  };
  const encodeImage = (): Float32Array | Promise<Float32Array> =>
    image.latents ?? encode(image.data!);

  if (!image.mask) {
    const original = await encodeImage();
    return { sample: sampler.addNoise(original, noise(), at) };
  }

  const paintsAll = unetChannels === shape[1];
  const isFromNoise = image.strength === 1;
  const original = paintsAll || !isFromNoise ? await encodeImage() : undefined;
  const drawn = noise();
  const sample = isFromNoise || !original ? scaled(drawn) : sampler.addNoise(original, drawn, at);
  const mask = nearest(image.mask, [1, 1, job.height, job.width], shape[2], shape[3]);
  // Drawn even where it is not used: diffusers always encodes the masked picture.
  const masked = await encode(withoutMasked(image.data!, image.mask));
  const inpaint: Inpaint = paintsAll
    ? { mask, keep: { latents: original!, noise: drawn } }
    : { mask, extraChannels: joinRows(repeated(mask, shape[0]), masked, shape[0]) };
  return { sample, inpaint };
}

/** Noise with that of a variation blended in, picture by picture, as A1111's `ImageRNG` does. */
function varied(
  noise: Float32Array,
  [pictures, ...one]: LatentShape,
  rng: GeneratorKind,
  variation: Variation | undefined,
): Float32Array {
  if (!variation) return noise;
  return stack(
    variation.seeds.map((seed, i) => {
      const other = createGenerator(rng, seed).randn([1, ...one]);
      return slerp(variation.strength, rowOf(noise, i, pictures), other, one);
    }),
  );
}

function withoutMasked(pixels: Float32Array, mask: Float32Array): Float32Array {
  return pixels.map((x, i) => (mask[i % mask.length] < 0.5 ? x : 0));
}

function repeated(x: Float32Array, times: number): Float32Array {
  return stack(new Array<Float32Array>(times).fill(x));
}
