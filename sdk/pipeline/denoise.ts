import type { Generator } from '../random/index.ts';
import type { Conditions } from './conditions.ts';
import { guide } from './guidance.ts';
import type { Pass } from './pass.ts';
import type { Hooks, LatentShape } from './request.ts';
import type { Inpaint, Start } from './start.ts';
import { stack } from './layout.ts';
import type { UNet } from './unet.ts';

/**
 * The loop: predict the noise, guide it, take a step. Follows the `__call__` of diffusers'
 * pipelines in the order of its operations.
 *
 * @param done evaluations of passes before this one, for what is reported
 * @returns the final latents, NCHW
 */
export async function denoise(
  { job, shape, sampler, begin, calls }: Pass,
  generator: Generator,
  start: Start,
  unet: UNet,
  conditions: Conditions,
  { signal, onStep }: Hooks,
  done: { readonly calls: number; readonly total: number },
): Promise<Float32Array> {
  const [pictures, , height, width] = shape;
  const noiseSeeds = noiseSeedsOf(job.seed, pictures);
  let sample = start.sample;
  for (let i = 0; i < calls; i++) {
    signal?.throwIfAborted();
    const t = sampler.timesteps[begin + i];
    const asked = conditions.at(i, calls);
    const input = withExtra(sampler.scaleModelInput(sample, t), start.inpaint, shape);
    const size = input.length / pictures;
    const rows = stack(
      asked.pictures.map((picture) => input.subarray(picture * size, (picture + 1) * size)),
    );
    const output = await unet.predict(rows, [height, width], t, asked.context, signal);
    const noise = asked.isGuided
      ? guide(output, pictures, asked.pulls, asked.scale, job.guidanceRescale)
      : output;
    const options = { shape, generator, eta: job.eta, noiseSeeds };
    const { prev, denoised } = sampler.step(noise, t, sample, options);
    sample = start.inpaint?.keep
      ? bringBack(prev, start.inpaint, shape, (latents, drawn) =>
          i + 1 < calls
            ? sampler.addNoise(latents, drawn, sampler.timesteps[begin + i + 1])
            : latents,
        )
      : prev;
    await onStep?.({
      step: done.calls + i + 1,
      steps: done.total,
      timestep: t,
      latents: sample,
      denoised,
      shape,
    });
  }
  return sample;
}

/** For samplers whose noise has seeds of its own: those of the pictures, as in A1111. */
function noiseSeedsOf(
  seed: number | readonly number[],
  pictures: number,
): readonly number[] | undefined {
  return typeof seed !== 'number' && seed.length === pictures ? seed : undefined;
}

/** Mask and masked picture are never scaled: they join the sample after `scaleModelInput`. */
function withExtra(
  sample: Float32Array,
  inpaint: Inpaint | undefined,
  shape: LatentShape,
): Float32Array {
  const extra = inpaint?.extraChannels;
  if (!extra) return sample;
  const [pictures] = shape;
  const rows: Float32Array[] = [];
  for (let i = 0; i < pictures; i++) {
    rows.push(
      sample.subarray((i * sample.length) / pictures, ((i + 1) * sample.length) / pictures),
    );
    rows.push(extra.subarray((i * extra.length) / pictures, ((i + 1) * extra.length) / pictures));
  }
  return stack(rows);
}

/** Outside the mask, the original picture with as much noise as the sample now has. */
function bringBack(
  sample: Float32Array,
  { mask, keep }: Inpaint,
  shape: LatentShape,
  noised: (latents: Float32Array, noise: Float32Array) => Float32Array,
): Float32Array {
  const original = noised(keep!.latents, keep!.noise);
  const pixels = shape[2] * shape[3];
  return sample.map((x, i) => {
    const m = mask[i % pixels];
    return Math.fround((1 - m) * original[i]) + Math.fround(m * x);
  });
}
