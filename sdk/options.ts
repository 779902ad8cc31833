import { SDError } from './errors.ts';
import type { ImageInput, Picture, PixelImage } from './image.ts';
import type { Progress } from './progress.ts';

/** Whose random generator the noise comes from; the same seed gives other noise in each. */
export type RandomKind = 'torch' | 'cuda' | 'numpy';
/** How a step's picture is shown: not at all, from the latents by a linear map, or by the VAE. */
export type PreviewKind = 'none' | 'rgb' | 'vae';

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
   * An integer from 0 to 2^53 − 1; random by default. Picture number i of a call is drawn with
   * `seed + i`, so that each can be made again alone; a list gives each its own.
   */
  seed?: number | readonly number[];
  /** In pixels, multiples of 8, up to 4096. Default: of the input picture, else the model's own. */
  width?: number;
  height?: number;
  /** A picture to start from (image-to-image). */
  image?: ImageInput;
  /** White where the picture is to be painted anew (inpainting); needs `image`. */
  mask?: ImageInput;
  /**
   * 0 … 1, how much of the picture's noise schedule is run: 0 keeps `image`, 1 keeps next to nothing
   * of it. Default 0.8, with a mask 1. Acts only with `image`.
   */
  strength?: number;
  /** The name of a sampler, such as `'ddim'` or `'euler'`. Default: what the model was saved with. */
  sampler?: string;
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
export interface Step<Preview extends Picture = PixelImage> {
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
  /** One for each picture: `prompt.length · count`, the pictures of one prompt together. */
  readonly seed: number[];
  readonly width: number | undefined;
  readonly height: number | undefined;
  readonly image: Picture | undefined;
  readonly mask: Picture | undefined;
  readonly strength: number;
  readonly sampler: string | undefined;
  readonly schedulerOptions: Record<string, unknown> | undefined;
  readonly eta: number;
  readonly clipSkip: number;
  readonly count: number;
  readonly rng: RandomKind;
  readonly preview: PreviewKind;
  readonly latents: Float32Array | undefined;
}

/** A request whose pictures are still as the caller gave them. */
export interface CheckedOptions {
  readonly request: Omit<GenerateRequest, 'image' | 'mask'>;
  readonly image: ImageInput | undefined;
  readonly mask: ImageInput | undefined;
  /** Sentences about what was asked and has no effect. */
  readonly notices: string[];
}

const NAMES = new Set<keyof GenerateOptions>([
  ...(['prompt', 'negativePrompt', 'steps', 'guidanceScale', 'guidanceRescale', 'seed'] as const),
  ...(['width', 'height', 'image', 'mask', 'strength', 'sampler', 'schedulerOptions'] as const),
  ...(['eta', 'clipSkip', 'count', 'rng', 'preview', 'latents'] as const),
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
  const usesPreview = options.onStep !== undefined;

  return {
    request: {
      prompt,
      negativePrompt:
        negativePrompt?.length === 1 ? prompt.map(() => negativePrompt[0]) : negativePrompt,
      steps: integer(options.steps, 'steps', 1, 1000, 25),
      guidanceScale: number(options.guidanceScale, 'guidanceScale', -Infinity, Infinity, 7.5),
      guidanceRescale: number(options.guidanceRescale, 'guidanceRescale', 0, 1, 0),
      seed: seeds(options.seed, pictures),
      width: side(options.width, 'width'),
      height: side(options.height, 'height'),
      strength,
      sampler: sampler(options.sampler),
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

function seeds(value: unknown, pictures: number): number[] {
  if (Array.isArray(value)) {
    if (value.length !== pictures)
      throw invalid(`There are ${value.length} seeds for ${pictures} pictures.`);
    return value.map(seedOf);
  }
  const first = value === undefined ? crypto.getRandomValues(new Uint32Array(1))[0] : seedOf(value);
  return Array.from({ length: pictures }, (_, i) => seedOf(first + i));
}

function seedOf(value: unknown): number {
  if (!Number.isSafeInteger(value) || (value as number) < 0)
    throw invalid(
      `seed must be an integer from 0 to 2^53 − 1, not ${show(value)}. Leave it out for a random one.`,
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

function number(value: unknown, name: string, low: number, high: number, standard: number): number {
  if (value === undefined) return standard;
  if (typeof value !== 'number' || !Number.isFinite(value) || value < low || value > high)
    throw invalid(`${name} must be ${range('a number', low, high)}, not ${show(value)}.`);
  return value;
}

function integer(
  value: unknown,
  name: string,
  low: number,
  high: number,
  standard: number,
): number {
  if (value === undefined) return standard;
  if (!Number.isInteger(value) || (value as number) < low || (value as number) > high)
    throw invalid(`${name} must be ${range('an integer', low, high)}, not ${show(value)}.`);
  return value as number;
}

function oneOf<T extends string>(value: unknown, name: string, all: readonly T[], standard: T): T {
  if (value === undefined) return standard;
  if (!all.includes(value as T))
    throw invalid(`${name} must be one of ${all.join(', ')}, not ${show(value)}.`);
  return value as T;
}

function sampler(value: unknown): string | undefined {
  if (value !== undefined && (typeof value !== 'string' || value === ''))
    throw invalid(`sampler must be the name of one, not ${show(value)}.`);
  return value as string | undefined;
}

/** A copy without prototypes or functions, so that it crosses to the worker. */
function plainObject(value: unknown, name: string): Record<string, unknown> | undefined {
  if (value === undefined) return undefined;
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw invalid(`${name} must be an object, not ${show(value)}.`);
  try {
    return structuredClone(value) as Record<string, unknown>;
  } catch (cause) {
    throw new SDError('INVALID_OPTION', `${name} must hold plain values only.`, { cause });
  }
}

function latents(value: unknown): Float32Array | undefined {
  if (value === undefined) return undefined;
  if (!(value instanceof Float32Array))
    throw invalid(`latents must be a Float32Array, not ${show(value)}.`);
  if (!value.every(Number.isFinite)) throw invalid('latents must be finite numbers.');
  return value;
}

function range(kind: string, low: number, high: number): string {
  if (low === -Infinity && high === Infinity) return `a finite number`;
  return `${kind} from ${low} to ${high}`;
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
  };
  const known = [...NAMES].find((one) => bare(one) === bare(name)) ?? also[bare(name)];
  return known ? `; the name is ${JSON.stringify(known)}` : '';
}

function show(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value);
  if (typeof value === 'object' && value !== null)
    return Array.isArray(value) ? 'a list' : 'an object';
  return String(value);
}

function invalid(message: string): SDError {
  return new SDError('INVALID_OPTION', message);
}
