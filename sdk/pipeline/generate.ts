import type { Picture } from '../image.ts';
import type { GenerateRequest } from '../options.ts';
import { prepareInpainting, type Inpainting } from './inpaint.ts';
import type { Pipeline } from './pipeline.ts';
import { fromPicture, toPicture } from './pixels.ts';
import type { Hooks, Job, LatentShape } from './request.ts';

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
  const { width, height } = sizeOf(pipeline, request);
  const { image, mask, maskBlur: blur, maskPadding: padding } = request;
  const inpainting =
    image && mask ? prepareInpainting(image, mask, { width, height, blur, padding }) : undefined;
  const job = jobOf(request, width, height, inpainting);
  const result = await pipeline.run(job, hooks);
  const pictures = Array.from({ length: result.shape[0] }, (_, i) => {
    const picture = toPicture(result.images, i, result.width, result.height);
    return inpainting ? inpainting.finish(picture) : picture;
  });
  const { latents, shape, timings } = result;
  return { pictures, seeds: [...request.seed], latents, shape, timings };
}

/** A picture's own size, rounded down to what the model can do, as diffusers takes it. */
function sizeOf(
  pipeline: Pipeline,
  { width, height, image, maskPadding }: GenerateRequest,
): { width: number; height: number } {
  const step = pipeline.sizeStep;
  const floor = (pixels: number): number => Math.max(step, Math.floor(pixels / step) * step);
  // Where only a region is painted, it is painted at the size that the model is best at.
  const own = maskPadding === undefined ? image : undefined;
  return {
    width: width ?? floor(own?.width ?? pipeline.defaultSize),
    height: height ?? floor(own?.height ?? pipeline.defaultSize),
  };
}

/** The run that a request asks for. */
function jobOf(
  request: GenerateRequest,
  width: number,
  height: number,
  inpainting: Inpainting | undefined,
): Job {
  const { image, strength, seed, subseed, seamless, prompt, negativePrompt, ...same } = request;
  return {
    ...same,
    prompts: prompt,
    negativePrompts: negativePrompt,
    width,
    height,
    seed: request.oneGenerator ? seed[0] : seed,
    variation: subseed && { seeds: subseed, strength: request.subseedStrength },
    wrap: { x: seamless === true || seamless === 'x', y: seamless === true || seamless === 'y' },
    image: image && {
      data: inpainting?.data ?? fromPicture(image, width, height),
      mask: inpainting?.mask,
      strength,
    },
  };
}
