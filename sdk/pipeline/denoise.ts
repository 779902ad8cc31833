import type { Backend } from '../backends/backend.ts';
import type { Generator } from '../random/index.ts';
import type { StepOptions } from '../samplers/sampler.ts';
import type { Conditions } from './conditions.ts';
import { guide } from './guidance.ts';
import type { Pass } from './pass.ts';
import { insightOf } from './insight.ts';
import type { Hooks, LatentShape, StepEvent } from './request.ts';
import type { Inpaint, Start } from './start.ts';
import { joinRows, rowOf, stack } from './layout.ts';
import { trace } from './trace.ts';
import type { UNet } from './unet.ts';

/** A loop to run, with all that it needs. */
export interface Walk {
  readonly pass: Pass;
  readonly generator: Generator;
  readonly start: Start;
  readonly unet: UNet;
  readonly conditions: Conditions;
  readonly hooks: Hooks;
  /** Evaluations of passes before this one, for what is reported. */
  readonly done: { readonly calls: number; readonly total: number };
}

/**
 * The loop: predict the noise, guide it, take a step; in the engine where that can, else on the host.
 * @returns the final latents, NCHW
 */
export async function denoise(walk: Walk, backend: Backend): Promise<Float32Array> {
  const { pass, unet, conditions, hooks } = walk;
  const [, , height, width] = pass.shape;
  const { context } = conditions.at(0, pass.calls);
  const isWhole = await unet.fits([height, width], context, hooks.signal);
  if (!isWhole)
    hooks.onNotice?.(
      'A whole batch did not fit in memory: pictures, and both halves of guidance, were computed one by one.',
    );
  // What is to be shown of a step has to come to the host.
  if (!isWhole || pass.job.inspect?.length) return denoiseOnHost(walk);
  return (await denoiseInEngine(walk, backend)) ?? denoiseOnHost(walk);
}

/** Follows the `__call__` of diffusers' pipelines in the order of its operations. */
async function denoiseOnHost(walk: Walk): Promise<Float32Array> {
  const { pass, start, unet, conditions } = walk;
  const { job, shape, sampler, begin, calls } = pass;
  const { signal, onStep } = walk.hooks;
  const [pictures, , height, width] = shape;
  const { extraChannels } = start.inpaint ?? {};
  const options = stepOptions(walk);
  let sample = start.sample;
  for (let i = 0; i < calls; i++) {
    signal?.throwIfAborted();
    const t = sampler.timesteps[begin + i];
    const asked = conditions.at(i, calls);
    const scaled = sampler.scaleModelInput(sample, t);
    // Mask and masked picture are never scaled.
    const input = extraChannels ? joinRows(scaled, extraChannels, pictures) : scaled;
    const rows = stack(asked.pictures.map((picture) => rowOf(input, picture, pictures)));
    const output = await unet.predict(rows, [height, width], t, asked.context, signal);
    const insight = job.inspect?.length
      ? await insightOf(pass, unet, asked, output, sample, t)
      : undefined;
    const noise = asked.isGuided
      ? guide(output, pictures, asked.pulls, asked.scale, job.guidanceRescale)
      : output;
    const { prev, denoised } = sampler.step(noise, t, sample, options);
    const next = start.inpaint?.keep
      ? bringBack(prev, start.inpaint, shape, (latents, drawn) =>
          i + 1 < calls
            ? sampler.addNoise(latents, drawn, sampler.timesteps[begin + i + 1])
            : latents,
        )
      : prev;
    sample = next;
    const latents: StepEvent['latents'] = async (state) => (state === 'noisy' ? next : denoised);
    await onStep?.({ ...eventOf(walk, i, t, latents), insight });
  }
  return sample;
}

/** The same without reading anything back; undefined where engine or sampler cannot. */
async function denoiseInEngine(walk: Walk, backend: Backend): Promise<Float32Array | undefined> {
  const { pass, start, unet, conditions } = walk;
  const { job, shape, newSampler, calls } = pass;
  const { signal, onStep } = walk.hooks;
  const { mask, keep, extraChannels } = start.inpaint ?? {};
  if (!backend.createVectors) return undefined;
  const traced = trace(newSampler, pass, stepOptions(walk), keep !== undefined);
  if (!traced) return undefined;
  const vectors = await backend.createVectors({
    count: traced.places + 1,
    shape,
    mask: keep && mask,
    extra: extraChannels,
  });
  if (!vectors) return undefined;
  try {
    vectors.write(traced.start, start.sample);
    if (traced.kept && keep) {
      vectors.write(traced.kept.latents, keep.latents);
      vectors.write(traced.kept.noise, keep.noise);
    }
    const shown = traced.places;
    let last = traced.start;
    for (const [i, step] of traced.steps.entries()) {
      signal?.throwIfAborted();
      const asked = conditions.at(i, calls);
      const { pulls, scale } = asked;
      const guidance = asked.isGuided ? { pulls, scale, rescale: job.guidanceRescale } : undefined;
      for (const { into, make } of step.noises) vectors.write(into, make());
      const [, , height, width] = shape;
      const program = await unet.prepare([height, width], step.timestep, asked.context, signal);
      await vectors.evaluate(program, step.input, asked.pictures, guidance, step.output, signal);
      vectors.combine(step.sample, step.next, step.outside);
      last = step.sample;
      const latents: StepEvent['latents'] = (state) => {
        if (state === 'noisy') return vectors.read(step.sample);
        vectors.combine(shown, step.denoised);
        return vectors.read(shown);
      };
      await onStep?.(eventOf(walk, i, step.timestep, latents));
    }
    return await vectors.read(last);
  } finally {
    vectors.dispose();
  }
}

function stepOptions({ pass: { job, shape }, generator }: Walk): StepOptions {
  return { shape, generator, eta: job.eta, noiseSeeds: noiseSeedsOf(job.seed, shape[0]) };
}

function eventOf(
  { pass, done }: Walk,
  i: number,
  timestep: number,
  latents: StepEvent['latents'],
): StepEvent {
  const { shape } = pass;
  return { step: done.calls + i + 1, steps: done.total, timestep, shape, latents };
}

/** For samplers whose noise has seeds of its own: those of the pictures, as in A1111. */
function noiseSeedsOf(
  seed: number | readonly number[],
  pictures: number,
): readonly number[] | undefined {
  return typeof seed !== 'number' && seed.length === pictures ? seed : undefined;
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
