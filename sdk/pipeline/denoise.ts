import type { Generator } from '../random/index.ts';
import type { Sampler } from '../samplers/sampler.ts';
import { guide } from './guidance.ts';
import type { Hooks, Job, LatentShape } from './request.ts';
import type { Inpaint, Start } from './start.ts';
import { stack, type UNet } from './unet.ts';

type Predict = Awaited<ReturnType<UNet['prepare']>>;

/**
 * The loop: predict the noise, guide it, take a step. Follows the `__call__` of diffusers'
 * pipelines (section 4.6 to 4.8 of their order of operations).
 *
 * @param predict the UNet on `[negative…, positive…]` rows when `guided`, else on positive rows
 * @returns the final latents, NCHW
 */
export async function denoise(
  job: Job,
  shape: LatentShape,
  sampler: Sampler,
  generator: Generator,
  start: Start,
  predict: Predict,
  guided: boolean,
  hooks: Hooks,
): Promise<Float32Array> {
  const { signal, onStep } = hooks;
  const timesteps = sampler.timesteps.slice(start.begin);
  let sample = start.sample;
  for (let i = 0; i < timesteps.length; i++) {
    signal?.throwIfAborted();
    const t = timesteps[i];
    const input = withExtra(sampler.scaleModelInput(sample, t), start.inpaint, shape);
    const output = await predict(guided ? stack([input, input]) : input, t, signal);
    const noise = guided ? guide(output, shape[0], job.guidanceScale, job.guidanceRescale) : output;
    const { prev, denoised } = sampler.step(noise, t, sample, {
      shape,
      generator,
      eta: job.eta,
    });
    sample = start.inpaint?.keep
      ? bringBack(prev, start.inpaint, shape, (latents, drawn) =>
          i + 1 < timesteps.length ? sampler.addNoise(latents, drawn, timesteps[i + 1]) : latents,
        )
      : prev;
    await onStep?.({
      step: i + 1,
      steps: timesteps.length,
      timestep: t,
      latents: sample,
      denoised,
      shape,
    });
  }
  return sample;
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
