import type { Backend } from '../backends/backend.ts';
import { invalid } from '../checks.ts';
import { SDError } from '../errors.ts';
import type { ScheduleInfo, TokenCount } from '../inspect.ts';
import type { PromptSyntax } from '../options.ts';
import { createGenerator, ListGenerator, type Generator } from '../random/index.ts';
import type { SchedulerConfig } from '../samplers/sampler.ts';
import { Autoencoder, type VaeMode } from './autoencoder.ts';
import { Conditions } from './conditions.ts';
import { denoise } from './denoise.ts';
import type { ModelSource, PartName } from './model-source.ts';
import type { Part, PartOptions } from './part.ts';
import { passOf, type Pass } from './pass.ts';
import type { Hooks, Job, LatentShape } from './request.ts';
import { scheduleOf, type ScheduleRequest } from './schedule.ts';
import { enlarge, secondPassJob } from './second-pass.ts';
import { startOf } from './start.ts';
import { TextEncoders } from './text.ts';
import { UNet } from './unet.ts';
import type { VaeModel } from './vae-model.ts';

/** A finished run. */
export interface JobResult {
  /** Final latents as the UNet sees them, NCHW of `shape`. */
  readonly latents: Float32Array;
  readonly shape: LatentShape;
  /** Of the pictures, in pixels: larger than the job's after a second pass. */
  readonly width: number;
  readonly height: number;
  /** NCHW `[pictures, 3, height, width]`, about −1..1. */
  readonly images: Float32Array;
  /** Milliseconds of each stage. */
  readonly timings: { readonly encode: number; readonly denoise: number; readonly decode: number };
}

/** A loaded model: from prompts and latents to pixels. One run at a time. */
export class Pipeline {
  readonly #backend: Backend;
  readonly #text: TextEncoders;
  readonly #unet: UNet;
  readonly #vae: Autoencoder;
  /** What previews are decoded with: the VAE, or a smaller one beside it. */
  readonly #previewVae: Autoencoder;
  readonly #scheduler: SchedulerConfig;
  /** SDXL: a missing negative prompt is zeros rather than the encoding of "". */
  readonly #zerosForNothing: boolean;
  readonly #isRefiner: boolean;

  private constructor(
    backend: Backend,
    text: TextEncoders,
    unet: UNet,
    vae: Autoencoder,
    previewVae: Autoencoder,
    scheduler: SchedulerConfig,
    zerosForNothing: boolean,
    isRefiner: boolean,
  ) {
    this.#backend = backend;
    this.#text = text;
    this.#unet = unet;
    this.#vae = vae;
    this.#previewVae = previewVae;
    this.#scheduler = scheduler;
    this.#zerosForNothing = zerosForNothing;
    this.#isRefiner = isRefiner;
  }

  /**
   * Loads the parts of a model into an engine.
   * @throws SDError `INVALID_MODEL`, `WEIGHTS_MISMATCH`, `MISSING_FILE`, and what the source throws
   */
  static async load(
    source: ModelSource,
    backend: Backend,
    options: PartOptions,
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
      const previewVae = source.has('preview')
        ? await keep(Autoencoder.load(source, backend, { ...options, part: 'preview' }))
        : vae;
      checkPreview(previewVae.model, vae.model);
      if (text.contextDim !== unet.config.contextDim)
        throw new SDError(
          'INVALID_MODEL',
          `The text encoders give ${text.contextDim} numbers per token and the UNet wants ${unet.config.contextDim}: these parts do not belong together.`,
        );
      const isXl = source.has('text_encoder_2');
      const zeros = isXl && modelIndex.force_zeros_for_empty_prompt !== false;
      const config = scheduler as SchedulerConfig;
      return new Pipeline(backend, text, unet, vae, previewVae, config, zeros, isRefiner);
    } catch (error) {
      for (const part of loaded) part.dispose();
      throw error;
    }
  }

  /** Edge in pixels of the pictures that the model was trained on. */
  get defaultSize(): number {
    return this.#unet.config.sampleSize * this.#vae.model.scale;
  }

  /** Width and height must be multiples of this. */
  get sizeStep(): number {
    return this.#vae.model.scale;
  }

  /** What LoRAs can change: the UNet and the text encoders. */
  get adaptable(): ReadonlyMap<PartName, Part> {
    return new Map([...this.#text.parts, ['unet', this.#unet.part]]);
  }

  get vaeModel(): VaeModel {
    return this.#vae.model;
  }

  /** Tokens of a prompt, and how many there is room for. */
  countTokens(prompt: string, syntax: PromptSyntax): TokenCount {
    return this.#text.count(prompt, syntax);
  }

  /** Where a run with these options would evaluate the model. @throws SDError INVALID_OPTION */
  schedule(request: ScheduleRequest): ScheduleInfo {
    return scheduleOf(request, this.#scheduler);
  }

  /** Runs one job from prompts to pixels. @throws SDError; the pipeline stays usable. */
  async run(job: Job, hooks: Hooks = {}): Promise<JobResult> {
    this.#check(job);
    const first = passOf(job, this.#shapeOf(job), this.#scheduler);
    const { secondPass } = job;
    const most = Number(this.#scheduler.num_train_timesteps ?? 1000);
    const larger = secondPass && secondPassJob(job, secondPass, this.sizeStep, most);
    const second = larger && passOf(larger, this.#shapeOf(larger), this.#scheduler);
    const mode = this.#vaeMode(job, hooks);
    const total = first.calls + (second?.calls ?? 0);

    const began = performance.now();
    hooks.onStage?.('encode', job.prompts.length);
    const conditions = await this.#conditions(first, hooks);
    const furtherConditions = second && (await this.#conditions(second, hooks, first.calls));
    const encoded = performance.now();
    hooks.onStage?.('denoise', total);
    let latents = await this.#walk(first, conditions, hooks, { calls: 0, total });
    if (secondPass && second && furtherConditions) {
      const image = await enlarge(latents, first.shape, second.shape, secondPass, this.#vae, mode);
      const from = { ...second, job: { ...second.job, image } };
      latents = await this.#walk(from, furtherConditions, hooks, { calls: first.calls, total });
    }
    const denoised = performance.now();
    const { shape, job: last } = second ?? first;
    hooks.onStage?.('decode', shape[0]);
    const images = await this.#vae.decode(latents, shape, mode);
    return {
      latents,
      shape,
      width: last.width,
      height: last.height,
      images,
      timings: {
        encode: encoded - began,
        denoise: denoised - encoded,
        decode: performance.now() - denoised,
      },
    };
  }

  /** Decodes latents outside of a run, for previews. NCHW of `shape` to `[pictures, 3, H, W]`. */
  decode(latents: Float32Array, shape: LatentShape, signal?: AbortSignal): Promise<Float32Array> {
    return this.#previewVae.decode(latents, shape, { signal });
  }

  /** One pass: from noise or a picture to latents. */
  async #walk(
    pass: Pass,
    conditions: Conditions,
    hooks: Hooks,
    done: { readonly calls: number; readonly total: number },
  ): Promise<Float32Array> {
    const { job } = pass;
    const generator = generatorOf(job);
    const mode = this.#vaeMode(job, hooks);
    const { inChannels } = this.#unet.config;
    const start = await startOf(pass, generator, this.#vae, inChannels, mode);
    const walk = { pass, generator, start, unet: this.#unet, conditions, hooks, done };
    return denoise(walk, this.#backend);
  }

  #conditions(pass: Pass, hooks: Hooks, before?: number): Promise<Conditions> {
    const model = {
      takesScale: this.#unet.config.guidanceDim !== undefined,
      zerosForNothing: this.#zerosForNothing,
      isRefiner: this.#isRefiner,
    };
    return Conditions.encode(pass, this.#text, model, hooks, before);
  }

  #shapeOf(job: Job): LatentShape {
    const { scale, latentChannels } = this.#vae.model;
    const pictures = job.prompts.length * job.count;
    return [pictures, latentChannels, job.height / scale, job.width / scale];
  }

  #vaeMode({ wrap, vaeTiling }: Job, { signal, onNotice }: Hooks): VaeMode {
    return { wrap, tiling: vaeTiling, signal, onNotice };
  }

  #check(job: Job): void {
    const { inChannels } = this.#unet.config;
    const { latentChannels } = this.#vae.model;
    const step = this.sizeStep;
    if (job.width % step !== 0 || job.height % step !== 0)
      throw invalid(
        `A picture of ${job.width}×${job.height} does not fit this model: width and height must be multiples of ${step}.`,
      );
    const encodes = job.image || job.secondPass?.upscaler === 'lanczos';
    if (encodes && this.#vae.model.encodes === 'nothing')
      throw invalid(
        'The VAE of this model is a decoder alone and takes no pictures: load it with a whole one.',
      );
    const isInpaint = job.image?.mask !== undefined;
    const paintsInto = inChannels === 2 * latentChannels + 1;
    if (inChannels !== latentChannels && !(isInpaint && paintsInto))
      throw invalid(
        `This model's UNet takes ${inChannels} channels: ${
          paintsInto
            ? 'it only paints into a picture, so give `image` and `mask`.'
            : `it can make no ${isInpaint ? 'inpainting' : 'picture'} from ${latentChannels} latent channels, which takes ${latentChannels}${isInpaint ? ` or ${2 * latentChannels + 1}` : ''}.`
        }`,
      );
    if (isInpaint && job.secondPass)
      throw invalid(
        'A second pass would paint over what the mask keeps: leave out one of the two.',
      );
    if (job.vaeTiling === true && (job.wrap?.x || job.wrap?.y))
      throw invalid('A seamless picture cannot go through the VAE in tiles: leave vaeTiling out.');
    const shape = this.#shapeOf(job);
    if (typeof job.seed !== 'number' && job.seed.length !== 1 && job.seed.length !== shape[0])
      throw invalid(`Give one seed, or one for each of ${shape[0]} pictures.`);
    const size = shape.reduce((product, n) => product * n, 1);
    if (job.latents && job.latents.length !== size)
      throw invalid(
        `latents hold ${job.latents.length} numbers; ${shape.join('×')} = ${size} are needed.`,
      );
  }

  dispose(): void {
    this.#text.dispose();
    this.#unet.dispose();
    this.#vae.dispose();
    if (this.#previewVae !== this.#vae) this.#previewVae.dispose();
  }
}

/** @throws SDError INVALID_MODEL where the two do not share their latents */
function checkPreview(preview: VaeModel, vae: VaeModel): void {
  if (preview.latentChannels !== vae.latentChannels || preview.scale !== vae.scale)
    throw new SDError(
      'INVALID_MODEL',
      `The autoencoder for previews has ${preview.latentChannels} latent channels at 1/${preview.scale} of the size, the model's VAE ${vae.latentChannels} at 1/${vae.scale}: they do not belong together.`,
    );
}

function generatorOf(job: Job): Generator {
  return typeof job.seed === 'number'
    ? createGenerator(job.rng, job.seed)
    : new ListGenerator(job.seed.map((seed) => createGenerator(job.rng, seed)));
}
