import type { Backend, WeightDtype } from '../backends/backend.ts';
import { SDError } from '../errors.ts';
import type { VaeConfig } from '../models/index.ts';
import { createGenerator, ListGenerator, type Generator } from '../random/index.ts';
import { createSampler } from '../samplers/index.ts';
import type { SchedulerConfig } from '../samplers/sampler.ts';
import { Autoencoder } from './autoencoder.ts';
import { denoise } from './denoise.ts';
import type { ModelSource } from './model-source.ts';
import type { Hooks, Job, LatentShape } from './request.ts';
import { startOf } from './start.ts';
import { TextEncoders, type Conditioning } from './text.ts';
import { UNet } from './unet.ts';

/** A finished run. */
export interface JobResult {
  /** Final latents as the UNet sees them, NCHW of `shape`. */
  readonly latents: Float32Array;
  readonly shape: LatentShape;
  /** NCHW `[pictures, 3, height, width]`, about −1..1. */
  readonly images: Float32Array;
  /** Milliseconds of each stage. */
  readonly timings: { readonly encode: number; readonly denoise: number; readonly decode: number };
}

/** A loaded model: from prompts and latents to pixels. One run at a time. */
export class Pipeline {
  readonly #text: TextEncoders;
  readonly #unet: UNet;
  readonly #vae: Autoencoder;
  readonly #scheduler: SchedulerConfig;
  /** SDXL: a missing negative prompt is zeros rather than the encoding of "". */
  readonly #zerosForNothing: boolean;

  private constructor(
    text: TextEncoders,
    unet: UNet,
    vae: Autoencoder,
    scheduler: SchedulerConfig,
    zerosForNothing: boolean,
  ) {
    this.#text = text;
    this.#unet = unet;
    this.#vae = vae;
    this.#scheduler = scheduler;
    this.#zerosForNothing = zerosForNothing;
  }

  /**
   * Loads the parts of a model into an engine.
   * @param options.onBytes called with the stored bytes of each tensor as it arrives
   * @throws SDError `INVALID_MODEL`, `WEIGHTS_MISMATCH`, `MISSING_FILE`, and what the source throws
   */
  static async load(
    source: ModelSource,
    backend: Backend,
    options: { dtype: WeightDtype; signal?: AbortSignal; onBytes?: (count: number) => void },
  ): Promise<Pipeline> {
    const { modelIndex } = source;
    const scheduler = await source.config('scheduler');
    if (typeof scheduler !== 'object' || scheduler === null)
      throw new SDError('INVALID_MODEL', 'scheduler_config.json is not a JSON object.');
    const isRefiner = !source.has('text_encoder') && source.has('text_encoder_2');
    const loaded: { dispose(): void }[] = [];
    const keep = async <T extends { dispose(): void }>(part: Promise<T>): Promise<T> => {
      loaded.push(await part);
      return part;
    };
    try {
      const text = await keep(TextEncoders.load(source, backend, options));
      const timeIds = isRefiner ? 5 : 6;
      const unet = await keep(UNet.load(source, backend, { ...options, timeIds }));
      const vae = await keep(Autoencoder.load(source, backend, options));
      if (text.contextDim !== unet.config.contextDim)
        throw new SDError(
          'INVALID_MODEL',
          `The text encoders give ${text.contextDim} numbers per token and the UNet wants ${unet.config.contextDim}: these parts do not belong together.`,
        );
      const isXl = source.has('text_encoder_2');
      const zeros = isXl && modelIndex.force_zeros_for_empty_prompt !== false;
      return new Pipeline(text, unet, vae, scheduler as SchedulerConfig, zeros);
    } catch (error) {
      for (const part of loaded) part.dispose();
      throw error;
    }
  }

  /** Edge in pixels of the pictures that the model was trained on. */
  get defaultSize(): number {
    return this.#unet.config.sampleSize * this.#vae.scale;
  }

  /** Width and height must be multiples of this. */
  get sizeStep(): number {
    return this.#vae.scale;
  }

  get vaeConfig(): VaeConfig {
    return this.#vae.config;
  }

  /** Runs one job from prompts to pixels. @throws SDError; the pipeline stays usable. */
  async run(job: Job, hooks: Hooks = {}): Promise<JobResult> {
    const { signal } = hooks;
    const scale = this.#vae.scale;
    const pictures = job.prompts.length * job.count;
    const channels = this.#vae.config.latentChannels;
    const shape: LatentShape = [pictures, channels, job.height / scale, job.width / scale];
    this.#check(job, shape);

    const began = performance.now();
    hooks.onStage?.('encode', job.prompts.length);
    // A model that takes the scale as an input was distilled to need no second pass.
    const guided = job.guidanceScale > 1 && !this.#unet.config.guidanceDim;
    const rows = await this.#condition(job, guided, hooks);
    const sampler = createSampler(
      job.sampler ?? this.#ownSampler(),
      this.#scheduler,
      { steps: job.steps },
      job.schedulerOptions,
    );
    const generator = generatorOf(job);
    const start = await startOf(
      job,
      shape,
      sampler,
      generator,
      this.#vae,
      this.#unet.config.inChannels,
      signal,
    );
    const predict = await this.#unet.prepare(shape, {
      rows,
      timeIds: [job.height, job.width, 0, 0, job.height, job.width],
      guidanceScale: job.guidanceScale,
    });
    const encoded = performance.now();
    hooks.onStage?.('denoise', sampler.timesteps.length - start.begin);
    const latents = await denoise(job, shape, sampler, generator, start, predict, guided, hooks);
    const denoised = performance.now();
    hooks.onStage?.('decode', pictures);
    const images = await this.#vae.decode(latents, shape, signal);
    return {
      latents,
      shape,
      images,
      timings: {
        encode: encoded - began,
        denoise: denoised - encoded,
        decode: performance.now() - denoised,
      },
    };
  }

  /** Decodes latents outside of a run, as previews do. NCHW of `shape` to `[pictures, 3, H, W]`. */
  decode(latents: Float32Array, shape: LatentShape, signal?: AbortSignal): Promise<Float32Array> {
    return this.#vae.decode(latents, shape, signal);
  }

  /** The rows of the UNet's batch: negatives first, as diffusers orders them. */
  async #condition(job: Job, guided: boolean, hooks: Hooks): Promise<Conditioning[]> {
    const { signal, onNotice } = hooks;
    const known = new Map<string, Promise<Conditioning>>();
    const encode = (prompt: string, skip: number): Promise<Conditioning> => {
      const key = `${skip} ${prompt}`;
      const encoded = known.get(key) ?? this.#text.encode(prompt, { skip, signal, onNotice });
      known.set(key, encoded);
      return encoded;
    };
    const spread = <T>(list: T[]): T[] => list.flatMap((one) => new Array<T>(job.count).fill(one));

    const positive: Conditioning[] = [];
    for (const prompt of job.prompts) positive.push(await encode(prompt, job.clipSkip));
    if (!guided) return spread(positive);
    const negative: Conditioning[] = [];
    for (let i = 0; i < job.prompts.length; i++) {
      const prompt = job.negativePrompts?.[i];
      // diffusers skips layers for the positive prompt alone, except in SDXL.
      if (prompt === undefined && this.#zerosForNothing) negative.push(this.#text.zeros());
      else negative.push(await encode(prompt ?? '', this.#text.isXl ? job.clipSkip : 0));
    }
    return [...spread(negative), ...spread(positive)];
  }

  /** The sampler that the model was saved with. */
  #ownSampler(): string {
    const name = this.#scheduler._class_name;
    if (typeof name === 'string') return name;
    throw new SDError(
      'INVALID_MODEL',
      'scheduler_config.json names no class; say which `sampler` to use.',
    );
  }

  #check(job: Job, shape: LatentShape): void {
    const { inChannels } = this.#unet.config;
    const step = this.sizeStep;
    if (job.width % step !== 0 || job.height % step !== 0)
      throw new SDError(
        'INVALID_OPTION',
        `A picture of ${job.width}×${job.height} does not fit this model: width and height must be multiples of ${step}.`,
      );
    const isInpaint = job.image?.mask !== undefined;
    const fits = inChannels === shape[1] || (isInpaint && inChannels === 2 * shape[1] + 1);
    if (!fits)
      throw new SDError(
        'INVALID_OPTION',
        `This model's UNet takes ${inChannels} channels: ${
          inChannels === 2 * shape[1] + 1
            ? 'it only paints into a picture, so give `image` and `mask`.'
            : `it can make no ${isInpaint ? 'inpainting' : 'picture'} from ${shape[1]} latent channels.`
        }`,
      );
    if (typeof job.seed !== 'number' && job.seed.length !== 1 && job.seed.length !== shape[0])
      throw new SDError(
        'INVALID_OPTION',
        `Give one seed, or one for each of ${shape[0]} pictures.`,
      );
    const size = shape.reduce((product, n) => product * n, 1);
    if (job.latents && job.latents.length !== size)
      throw new SDError(
        'INVALID_OPTION',
        `latents hold ${job.latents.length} numbers; ${shape.join('×')} = ${size} are needed.`,
      );
  }

  dispose(): void {
    this.#text.dispose();
    this.#unet.dispose();
    this.#vae.dispose();
  }
}

function generatorOf(job: Job): Generator {
  return typeof job.seed === 'number'
    ? createGenerator(job.rng, job.seed)
    : new ListGenerator(job.seed.map((seed) => createGenerator(job.rng, seed)));
}
