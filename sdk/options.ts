import { boolean, integer, invalid, number, numbers, oneOf, plainObject, show } from './checks.ts';
import { SDError } from './errors.ts';
import type { ImageInput, Picture, PixelImage } from './image.ts';
import { inspections, type Inspection, type StepInsight } from './inspect.ts';
import type { Progress } from './progress.ts';

/** Whose random generator the noise comes from; the same seed gives other noise in each. */
export type RandomKind = 'torch' | 'cuda' | 'numpy';
/** How a step's picture is shown: not at all, from the latents by a linear map, or by the VAE (or the `preview` part). */
export type PreviewKind = 'none' | 'rgb' | 'vae';
/** Whether a step shows the clean picture it predicts, or the noisy one it left. */
export type PreviewState = 'denoised' | 'noisy';
/**
 * How prompts are read: as they are, cut at 77 tokens (diffusers), or with A1111's syntax:
 * `(weight:1.2)`, `[less]`, `BREAK`, `[from:to:when]`, `[one|other]`, `this AND that`, any length.
 */
export type PromptSyntax = 'plain' | 'a1111';
/** How a picture grows between the two passes: its latents bilinearly or by neighbours, or its pixels. */
export type Upscaler = 'latent' | 'latent-nearest' | 'lanczos';

/** A second pass at a higher size, which starts from the first ("hires fix" of A1111). */
export interface SecondPass {
  /** Times the first pass's width and height, 1 … 4, rounded down to what the model can do. Default 2. */
  scale?: number;
  /** 0 … 1, as of an input picture. Default 0.7. */
  strength?: number;
  /** Steps that are really run, 1 … 1000. Default: `steps` of the first pass. */
  steps?: number;
  /** Default `'latent'`, which needs a `strength` above about 0.5; pixels can do with less. */
  upscaler?: Upscaler;
}

/** What to draw and how. Only `prompt` is needed; unknown names are refused. */
export interface GenerateOptions {
  /** What the picture shows. Several prompts give one picture each. */
  prompt: string | readonly string[];
  /** What it should not show; one for all prompts, or one each. Default `''`. */
  negativePrompt?: string | readonly string[];
  /** Denoising steps, 1 … 1000. Default 25. */
  steps?: number;
  /** How strongly the prompt pulls (classifier-free guidance); 1 or less is none. Default 7.5. */
  guidanceScale?: number;
  /** 0 … 1; tames over-exposure at high guidance (`guidance_rescale` of diffusers). Default 0. */
  guidanceRescale?: number;
  /**
   * Guidance acts from this fraction of the steps to that one, 0 … 1. Outside, the prompt alone is
   * followed, in half the work. Defaults 0 and 1.
   */
  guidanceStart?: number;
  guidanceEnd?: number;
  /**
   * An integer from 0 to 2^53 − 1; random by default. Picture number i of a call is drawn with
   * `seed + i`, so that each can be made again alone; a list gives each its own.
   */
  seed?: number | readonly number[];
  /**
   * Draws all pictures of the call from one generator with the first seed, as diffusers does with a
   * single `generator`; no picture but the first can then be made again alone. Default false.
   */
  oneGenerator?: boolean;
  /**
   * A variation: noise of this seed is blended into that of `seed` by `subseedStrength`, 0 … 1, on
   * the sphere (A1111). All pictures then keep one `seed`, and picture i has `subseed + i`; lists give
   * each its own. Default strength 0: no variation.
   */
  subseed?: number | readonly number[];
  subseedStrength?: number;
  /** In pixels, multiples of 8, up to 4096. Default: of the input picture, else the model's own. */
  width?: number;
  height?: number;
  /** A picture to start from (image-to-image). */
  image?: ImageInput;
  /**
   * White where the picture is to be painted anew (inpainting), black or transparent where it is kept;
   * `'alpha'` paints where `image` itself is transparent. Needs `image` and its size.
   */
  mask?: ImageInput | 'alpha';
  /** Softens the mask by a Gaussian of so many pixels, and lays the kept part back over. Default 0. */
  maskBlur?: number;
  /**
   * Paints only the masked area, with so many pixels around it, at the full `width` and `height`, and
   * lays it into the picture, which keeps its size (`padding_mask_crop` of diffusers).
   */
  maskPadding?: number;
  /**
   * 0 … 1, how much of the picture's noise schedule is run: 0 keeps `image`, 1 keeps next to nothing
   * of it. Default 0.8, with a mask 1. Acts only with `image`.
   */
  strength?: number;
  /** The name of a sampler, such as `'ddim'` or `'euler'`. Default: what the model was saved with. */
  sampler?: string;
  /** The model's times at which the sampler works, descending, instead of `steps`. */
  timesteps?: readonly number[];
  /** The noise levels at which it works, descending and mostly to 0, instead of `steps`. */
  sigmas?: readonly number[];
  /** Fields of diffusers' `scheduler_config.json` that replace the model's own. */
  schedulerOptions?: Readonly<Record<string, unknown>>;
  /** 0 … 1: DDIM's share of fresh noise. Default 0. */
  eta?: number;
  /** Leaves out the last layers of the text encoder, counted as diffusers does. Default 0. */
  clipSkip?: number;
  /** Pictures for each prompt, 1 … 64. Default 1. */
  count?: number;
  /** Default `'torch'`: PyTorch on the CPU. */
  rng?: RandomKind;
  /** What `onStep` and `stream` show at each step. Default `'rgb'` where they are used. */
  preview?: PreviewKind;
  /** Default `'denoised'`. */
  previewState?: PreviewState;
  /** What else a step tells; it costs time. Default nothing. */
  inspect?: readonly Inspection[];
  /** Default `'plain'`. */
  syntax?: PromptSyntax;
  /** A picture whose edges fit together, in both directions (`true`) or one. Default false. */
  seamless?: boolean | 'x' | 'y';
  /**
   * Takes pictures through the VAE in overlapping tiles, which bounds the memory they need and shows a
   * little at the seams. Default `'auto'`: above what a VAE of 1024² can be expected to do here.
   */
  vaeTiling?: boolean | 'auto';
  /** Draws small first, then again larger from that. Default none. */
  secondPass?: SecondPass;
  /** Starts from these instead of drawn noise: standard normal, NCHW, for all pictures. */
  latents?: Float32Array;
  /** Stops the run between two operations; the call then rejects with `ABORTED`. */
  signal?: AbortSignal;
  /** Called at most some ten times a second, and at the end of every phase. */
  onProgress?: (progress: Progress) => void;
  /** Called after each step. */
  onStep?: (step: Step) => void;
}

/** One denoising step that is done. */
export interface Step<Preview extends Picture = PixelImage> extends StepInsight<Preview> {
  /** From 1 to `steps`. */
  readonly step: number;
  readonly steps: number;
  /** The model's own time, from about 1000 down to 0. */
  readonly timestep: number;
  /** What the finished picture would look like by now; the first of the call's pictures. */
  readonly preview?: Preview;
}

/** Options checked and completed: plain data that crosses to the worker. */
export interface GenerateRequest {
  readonly prompt: string[];
  readonly negativePrompt: string[] | undefined;
  readonly steps: number;
  readonly guidanceScale: number;
  readonly guidanceRescale: number;
  readonly guidanceStart: number;
  readonly guidanceEnd: number;
  /** One for each picture: `prompt.length · count`, the pictures of one prompt together. */
  readonly seed: number[];
  readonly oneGenerator: boolean;
  /** One for each picture, where there is a variation. */
  readonly subseed: number[] | undefined;
  readonly subseedStrength: number;
  readonly width: number | undefined;
  readonly height: number | undefined;
  readonly image: Picture | undefined;
  readonly mask: Picture | 'alpha' | undefined;
  readonly maskBlur: number;
  readonly maskPadding: number | undefined;
  readonly strength: number;
  readonly sampler: string | undefined;
  readonly timesteps: number[] | undefined;
  readonly sigmas: number[] | undefined;
  readonly schedulerOptions: Record<string, unknown> | undefined;
  readonly eta: number;
  readonly clipSkip: number;
  readonly count: number;
  readonly rng: RandomKind;
  readonly preview: PreviewKind;
  readonly previewState: PreviewState;
  readonly inspect: Inspection[];
  readonly syntax: PromptSyntax;
  readonly seamless: boolean | 'x' | 'y';
  readonly vaeTiling: boolean | 'auto';
  readonly secondPass: Required<SecondPass> | undefined;
  readonly latents: Float32Array | undefined;
}

/** A request whose pictures are still as the caller gave them. */
export interface CheckedOptions {
  readonly request: Omit<GenerateRequest, 'image' | 'mask'>;
  readonly image: ImageInput | undefined;
  readonly mask: ImageInput | 'alpha' | undefined;
  /** Sentences about what was asked and has no effect. */
  readonly notices: string[];
}

const NAMES = new Set<keyof GenerateOptions>([
  ...(['prompt', 'negativePrompt', 'steps', 'guidanceScale', 'guidanceRescale', 'seed'] as const),
  ...(['width', 'height', 'image', 'mask', 'strength', 'sampler', 'schedulerOptions'] as const),
  ...(['eta', 'clipSkip', 'count', 'rng', 'preview', 'latents'] as const),
  ...(['guidanceStart', 'guidanceEnd', 'oneGenerator', 'subseed', 'subseedStrength'] as const),
  ...(['maskBlur', 'maskPadding', 'timesteps', 'sigmas', 'previewState', 'syntax'] as const),
  ...(['seamless', 'vaeTiling', 'secondPass', 'inspect'] as const),
  ...(['signal', 'onProgress', 'onStep'] as const),
]);
const LARGEST_SIDE = 4096;
const MOST_PICTURES = 64;

/**
 * Checks everything that can be known without the model, before any work is done.
 * @throws SDError INVALID_OPTION, INVALID_PROMPT
 */
export function validateOptions(options: GenerateOptions): CheckedOptions {
  if (typeof options !== 'object' || options === null)
    throw invalid(`generate() takes a prompt or an object of options, not ${show(options)}.`);
  for (const name of Object.keys(options))
    if (!NAMES.has(name as keyof GenerateOptions))
      throw invalid(`There is no option ${JSON.stringify(name)}${suggestion(name)}.`);

  const prompt = texts(options.prompt, 'prompt');
  const negativePrompt =
    options.negativePrompt === undefined
      ? undefined
      : texts(options.negativePrompt, 'negativePrompt');
  if (negativePrompt && negativePrompt.length !== 1 && negativePrompt.length !== prompt.length)
    throw invalid(
      `There are ${negativePrompt.length} negative prompts for ${prompt.length} prompts; give one, or one for each.`,
    );
  const count = integer(options.count, 'count', 1, MOST_PICTURES, 1);
  const pictures = prompt.length * count;
  if (pictures > MOST_PICTURES)
    throw invalid(`${pictures} pictures in one call are too many; the limit is ${MOST_PICTURES}.`);
  if (options.mask !== undefined && options.image === undefined)
    throw invalid('A mask needs a picture: give `image` too.');

  const notices: string[] = [];
  if (options.strength !== undefined && options.image === undefined)
    notices.push('strength has no effect without `image`: there is no picture to start from.');
  const strength = number(options.strength, 'strength', 0, 1, options.mask === undefined ? 0.8 : 1);
  const usesMask = options.mask !== undefined;
  for (const name of ['maskBlur', 'maskPadding'] as const)
    if (options[name] !== undefined && !usesMask)
      notices.push(`${name} has no effect without \`mask\`.`);
  const guidanceStart = number(options.guidanceStart, 'guidanceStart', 0, 1, 0);
  const guidanceEnd = number(options.guidanceEnd, 'guidanceEnd', 0, 1, 1);
  if (guidanceStart > guidanceEnd)
    throw invalid(`guidanceStart ${guidanceStart} is after guidanceEnd ${guidanceEnd}.`);
  const timesteps = numbers(options.timesteps, 'timesteps');
  const sigmas = numbers(options.sigmas, 'sigmas');
  if (timesteps && sigmas) throw invalid('Give timesteps or sigmas, not both.');
  const subseedStrength = number(options.subseedStrength, 'subseedStrength', 0, 1, 0);
  if (subseedStrength > 0 && options.subseed === undefined)
    throw invalid('subseedStrength needs a `subseed` to blend in.');
  const varies = subseedStrength > 0;
  const steps = integer(options.steps, 'steps', 1, 1000, 25);
  const usesPreview = options.onStep !== undefined;

  return {
    request: {
      prompt,
      negativePrompt:
        negativePrompt?.length === 1 ? prompt.map(() => negativePrompt[0]) : negativePrompt,
      steps,
      guidanceScale: number(options.guidanceScale, 'guidanceScale', -Infinity, Infinity, 7.5),
      guidanceRescale: number(options.guidanceRescale, 'guidanceRescale', 0, 1, 0),
      guidanceStart,
      guidanceEnd,
      seed: seeds(options.seed, 'seed', pictures, varies ? 0 : 1),
      oneGenerator: boolean(options.oneGenerator, 'oneGenerator', false),
      subseed: varies ? seeds(options.subseed, 'subseed', pictures, 1) : undefined,
      subseedStrength,
      width: side(options.width, 'width'),
      height: side(options.height, 'height'),
      maskBlur: number(options.maskBlur, 'maskBlur', 0, 256, 0),
      maskPadding:
        options.maskPadding === undefined || !usesMask
          ? undefined
          : integer(options.maskPadding, 'maskPadding', 0, LARGEST_SIDE, 0),
      strength,
      sampler: sampler(options.sampler),
      timesteps,
      sigmas,
      schedulerOptions: plainObject(options.schedulerOptions, 'schedulerOptions'),
      eta: number(options.eta, 'eta', 0, 1, 0),
      clipSkip: integer(options.clipSkip, 'clipSkip', 0, 31, 0),
      count,
      rng: oneOf(options.rng, 'rng', ['torch', 'cuda', 'numpy'], 'torch'),
      preview: oneOf(
        options.preview,
        'preview',
        ['none', 'rgb', 'vae'],
        usesPreview ? 'rgb' : 'none',
      ),
      previewState: oneOf(options.previewState, 'previewState', ['denoised', 'noisy'], 'denoised'),
      inspect: inspections(options.inspect),
      syntax: oneOf(options.syntax, 'syntax', ['plain', 'a1111'], 'plain'),
      seamless: oneOf(options.seamless, 'seamless', [true, false, 'x', 'y'], false),
      vaeTiling: oneOf(options.vaeTiling, 'vaeTiling', [true, false, 'auto'], 'auto'),
      secondPass: secondPass(options.secondPass, steps),
      latents: latents(options.latents),
    },
    image: options.image,
    mask: options.mask,
    notices,
  };
}

function texts(value: unknown, name: string): string[] {
  const list = Array.isArray(value) ? (value as unknown[]) : [value];
  if (list.length === 0 || list.length > MOST_PICTURES)
    throw invalid(`${name} must be a text or a list of 1 to ${MOST_PICTURES} texts.`);
  return list.map((text) => {
    if (typeof text !== 'string') throw invalid(`${name} must be a text, not ${show(text)}.`);
    if (/\p{Surrogate}/u.test(text))
      throw new SDError(
        'INVALID_PROMPT',
        `${name} holds half of a character (a lone surrogate), which is not text. It was cut in the middle of an emoji or a rare character.`,
      );
    return text;
  });
}

/** @param stride from one picture's seed to the next one's */
function seeds(value: unknown, name: string, pictures: number, stride: number): number[] {
  if (Array.isArray(value)) {
    if (value.length !== pictures)
      throw invalid(`There are ${value.length} ${name}s for ${pictures} pictures.`);
    return value.map((seed) => seedOf(seed, name));
  }
  const first =
    value === undefined ? crypto.getRandomValues(new Uint32Array(1))[0] : seedOf(value, name);
  return Array.from({ length: pictures }, (_, i) => seedOf(first + i * stride, name));
}

function seedOf(value: unknown, name: string): number {
  if (!Number.isSafeInteger(value) || (value as number) < 0)
    throw invalid(
      `${name} must be an integer from 0 to 2^53 − 1, not ${show(value)}. Leave it out for a random one.`,
    );
  return value as number;
}

function side(value: unknown, name: string): number | undefined {
  if (value === undefined) return undefined;
  const pixels = integer(value, name, 8, LARGEST_SIDE, 0);
  if (pixels % 8 !== 0) {
    const near = Math.max(8, Math.round(pixels / 8) * 8);
    throw invalid(`${name} must be a multiple of 8; ${pixels} is not, ${near} is.`);
  }
  return pixels;
}

function sampler(value: unknown): string | undefined {
  if (value !== undefined && (typeof value !== 'string' || value === ''))
    throw invalid(`sampler must be the name of one, not ${show(value)}.`);
  return value as string | undefined;
}

function secondPass(value: unknown, steps: number): Required<SecondPass> | undefined {
  if (value === undefined) return undefined;
  const given = plainObject(value, 'secondPass') as SecondPass;
  const known = ['scale', 'strength', 'steps', 'upscaler'];
  const strange = Object.keys(given).find((name) => !known.includes(name));
  if (strange !== undefined)
    throw invalid(`secondPass has no ${JSON.stringify(strange)}; it has ${known.join(', ')}.`);
  const upscalers: readonly Upscaler[] = ['latent', 'latent-nearest', 'lanczos'];
  return {
    scale: number(given.scale, 'secondPass.scale', 1, 4, 2),
    strength: number(given.strength, 'secondPass.strength', 0, 1, 0.7),
    steps: integer(given.steps, 'secondPass.steps', 1, 1000, steps),
    upscaler: oneOf(given.upscaler, 'secondPass.upscaler', upscalers, 'latent'),
  };
}

function latents(value: unknown): Float32Array | undefined {
  if (value === undefined) return undefined;
  if (!(value instanceof Float32Array))
    throw invalid(`latents must be a Float32Array, not ${show(value)}.`);
  if (!value.every(Number.isFinite)) throw invalid('latents must be finite numbers.');
  return value;
}

/** The nearest known name, for a typing error or a name from Python. */
function suggestion(name: string): string {
  const bare = (text: string) => text.toLowerCase().replace(/_/g, '');
  const also: Record<string, keyof GenerateOptions> = {
    numinferencesteps: 'steps',
    cfgscale: 'guidanceScale',
    guidance: 'guidanceScale',
    scheduler: 'sampler',
    initimage: 'image',
    maskimage: 'mask',
    numimagesperprompt: 'count',
    generator: 'seed',
    abortsignal: 'signal',
    paddingmaskcrop: 'maskPadding',
    tiling: 'seamless',
    hires: 'secondPass',
  };
  const known = [...NAMES].find((one) => bare(one) === bare(name)) ?? also[bare(name)];
  return known ? `; the name is ${JSON.stringify(known)}` : '';
}
