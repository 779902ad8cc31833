import { SDError } from '../errors.ts';
import type { Picture } from '../image.ts';
import type { GenerateRequest } from '../options.ts';
import type { Pipeline } from './pipeline.ts';
import { fromPicture, maskFromPicture, toPicture } from './pixels.ts';
import type { Hooks, InitialImage, Job, LatentShape } from './request.ts';

/** Finished pictures and what is known of how they came about. */
export interface Generated {
  readonly pictures: Picture[];
  /** One for each picture. */
  readonly seeds: number[];
  /** Final latents, NCHW of `shape`: a run can go on from them. */
  readonly latents: Float32Array;
  readonly shape: LatentShape;
  readonly timings: Record<'encode' | 'denoise' | 'decode', number>;
}

/**
 * From a checked request to pictures: resolves what depends on the model, turns pictures into
 * tensors and back.
 * @throws SDError `INVALID_OPTION` for what only the model can refuse, and what {@link Pipeline.run} throws
 */
export async function generate(
  pipeline: Pipeline,
  request: GenerateRequest,
  hooks: Hooks = {},
): Promise<Generated> {
  const job = jobOf(pipeline, request);
  const { latents, shape, images, timings } = await pipeline.run(job, hooks);
  const pictures = Array.from({ length: shape[0] }, (_, i) =>
    toPicture(images, i, job.width, job.height),
  );
  return { pictures, seeds: [...request.seed], latents, shape, timings };
}

/** The run that a request asks of this model. */
export function jobOf(pipeline: Pipeline, request: GenerateRequest): Job {
  const step = pipeline.sizeStep;
  const floor = (pixels: number): number => Math.max(step, Math.floor(pixels / step) * step);
  // A picture's own size, rounded down to what the model can do, as diffusers takes it.
  const width = request.width ?? floor(request.image?.width ?? pipeline.defaultSize);
  const height = request.height ?? floor(request.image?.height ?? pipeline.defaultSize);
  return {
    prompts: request.prompt,
    negativePrompts: request.negativePrompt,
    count: request.count,
    width,
    height,
    steps: request.steps,
    sampler: request.sampler,
    schedulerOptions: request.schedulerOptions,
    guidanceScale: request.guidanceScale,
    guidanceRescale: request.guidanceRescale,
    eta: request.eta,
    clipSkip: request.clipSkip,
    seed: request.seed,
    rng: request.rng,
    latents: request.latents,
    image: imageOf(request, width, height),
  };
}

function imageOf(
  { image, mask, strength }: GenerateRequest,
  width: number,
  height: number,
): InitialImage | undefined {
  if (!image) return undefined;
  if (mask && (mask.width !== image.width || mask.height !== image.height))
    throw new SDError(
      'INVALID_OPTION',
      `The mask is ${mask.width}×${mask.height} and the picture ${image.width}×${image.height}; they must be of one size.`,
    );
  return {
    data: fromPicture(image, width, height),
    strength,
    mask: mask && maskFromPicture(mask, width, height),
  };
}
