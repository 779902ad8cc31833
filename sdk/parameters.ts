import type { GenerateOptions, SecondPass, Upscaler } from './options.ts';

// One entry of the package, `stable-diffusion-web/parameters`: who writes the text writes it into a file.
export { readPngText, writePngText } from './png.ts';

/** What a finished picture knows beside the options that it was asked for with. */
export interface MadeWith {
  /** The picture's number among those of the call. Default 0. */
  readonly index?: number;
  readonly seed: number;
  /** Of the picture in pixels, before a second pass. */
  readonly width: number;
  readonly height: number;
  /** The model's name, for people. */
  readonly model?: string;
}

const RNG = { torch: 'CPU', cuda: 'NV', numpy: 'NumPy' } as const;
const UPSCALERS: Readonly<Record<Upscaler, string>> = {
  latent: 'Latent',
  'latent-nearest': 'Latent (nearest)',
  lanczos: 'Lanczos',
};

/**
 * The text that A1111 writes into a picture under `parameters`, for one picture of a call. What A1111
 * has a name for is written under it; the rest under names of our own, which A1111 ignores. Input
 * pictures and given latents are not part of it.
 */
export function parametersText(options: GenerateOptions, made: MadeWith): string {
  const { index = 0 } = made;
  const one = <T>(value: T | readonly T[] | undefined): T | undefined =>
    Array.isArray(value) && !(value instanceof Float32Array)
      ? (value as readonly T[])[value.length === 1 ? 0 : Math.floor(index / (options.count ?? 1))]
      : (value as T | undefined);
  const prompt = one(options.prompt) ?? '';
  const negative = one(options.negativePrompt);
  const fields = fieldsOf(options, made);
  const text = join(prompt, negative, fields);
  const read = parseParameters(text);
  if (read.prompt === prompt && read.negativePrompt === negative) return text;
  // Lines that look like A1111's own, or blanks at the ends, which it does not keep.
  fields.push(['Prompt', prompt]);
  if (negative !== undefined) fields.push(['Negative', negative]);
  return join(prompt, negative, fields);
}

type Field = [name: string, value: string | number];

function join(prompt: string, negative: string | undefined, fields: readonly Field[]): string {
  const lines = [prompt];
  if (negative !== undefined) lines.push(`Negative prompt: ${negative}`);
  const quoted = fields.map(([name, value]) => {
    const text = String(value);
    // A1111 quotes commas, colons and line ends; blanks at the ends would be lost too.
    const isBare = !/[,\n\r:"]|^\s|\s$|^$/.test(text);
    return `${name}: ${isBare ? text : JSON.stringify(text)}`;
  });
  return [...lines, quoted.join(', ')].join('\n');
}

function fieldsOf(options: GenerateOptions, made: MadeWith): Field[] {
  const { index = 0, seed, width, height, model } = made;
  const fields: Field[] = [];
  const add = (name: string, value: string | number | boolean | undefined): void => {
    if (value === true) fields.push([name, 'True']);
    else if (value !== undefined && value !== false) fields.push([name, value]);
  };
  const json = (value: unknown): string | undefined =>
    value === undefined ? undefined : JSON.stringify(value);
  const second = options.secondPass;
  add('Steps', options.steps ?? 25);
  add('Sampler', options.sampler);
  add('CFG scale', options.guidanceScale ?? 7.5);
  add('Seed', seed);
  add('Size', `${width}x${height}`);
  add('Model', model);
  add('Denoising strength', second ? (second.strength ?? 0.7) : strengthOf(options));
  add('Clip skip', options.clipSkip ? options.clipSkip + 1 : undefined);
  add('RNG', RNG[options.rng ?? 'torch']);
  add('Eta', options.eta || undefined);
  add('Emphasis', options.syntax === 'a1111' ? undefined : 'None');
  if (options.subseedStrength) {
    const { subseed } = options;
    add('Variation seed', Array.isArray(subseed) ? subseed[index] : (subseed as number) + index);
    add('Variation seed strength', options.subseedStrength);
  }
  if (second) {
    add('Hires upscale', second.scale ?? 2);
    add('Hires steps', second.steps);
    add('Hires upscaler', UPSCALERS[second.upscaler ?? 'latent']);
    add('Strength', strengthOf(options));
  }
  add('Mask blur', options.maskBlur || undefined);
  add('Masked area padding', options.maskPadding);
  const { seamless } = options;
  add('Tiling', typeof seamless === 'string' ? seamless.toUpperCase() : seamless);
  add('Guidance rescale', options.guidanceRescale || undefined);
  add('Guidance start', options.guidanceStart || undefined);
  add('Guidance end', options.guidanceEnd);
  add('VAE tiling', options.vaeTiling === 'auto' ? undefined : json(options.vaeTiling));
  add('Timesteps', json(options.timesteps && [...options.timesteps]));
  add('Sigmas', json(options.sigmas && [...options.sigmas]));
  add('Scheduler options', json(options.schedulerOptions));
  if (options.oneGenerator) {
    add('One generator', true);
    add('Batch size', options.count);
    add('Batch pos', index);
  }
  return fields;
}

function strengthOf({ image, mask, strength }: GenerateOptions): number | undefined {
  if (image === undefined) return undefined;
  return strength ?? (mask === undefined ? 0.8 : 1);
}

/**
 * Reads a text of A1111, or of ours, back into options for `generate` to check. Fields
 * that are unknown or make no sense are left out. A text without a line of fields is all prompt. Files
 * of A1111 give `syntax: 'a1111'`.
 */
export function parseParameters(text: string): GenerateOptions {
  const lines = text.replace(/\r\n?/g, '\n').split('\n');
  let fields = parseFields(lines[lines.length - 1]);
  // As A1111 has it: fewer than three are a prompt with a colon in it.
  if (fields.size >= 3) lines.pop();
  else fields = new Map();
  const start = lines.findIndex((line) => line.trimStart().startsWith(NEGATIVE));
  const trimmed = (some: readonly string[]): string =>
    some
      .map((line) => line.trim())
      .join('\n')
      .trim();
  let prompt = trimmed(start < 0 ? lines : lines.slice(0, start));
  let negativePrompt: string | undefined;
  if (start >= 0) {
    const first = lines[start].trimStart().slice(NEGATIVE.length);
    negativePrompt = trimmed([first, ...lines.slice(start + 1)]);
  }
  const exact = fields.get('Prompt');
  if (exact !== undefined) [prompt, negativePrompt] = [exact, fields.get('Negative')];
  return { prompt, ...(negativePrompt !== undefined && { negativePrompt }), ...optionsOf(fields) };
}

const NEGATIVE = 'Negative prompt:';

/** `Name: value, Name: "quoted, value", …`; one pass, since the text may be anyone's. */
function parseFields(line: string): Map<string, string> {
  const fields = new Map<string, string>();
  let at = 0;
  for (;;) {
    const colon = line.indexOf(':', at);
    if (colon < 0) return fields;
    const before = line.slice(at, colon);
    const name = before.slice(before.lastIndexOf(',') + 1).trim();
    let from = colon + 1;
    while (line[from] === ' ') from++;
    let end: number;
    let value: string;
    if (line[from] === '"') {
      end = from + 1;
      while (end < line.length && line[end] !== '"') end += line[end] === '\\' ? 2 : 1;
      const unquoted = parsed(line.slice(from, ++end));
      value = typeof unquoted === 'string' ? unquoted : line.slice(from, end);
      end = line.indexOf(',', end);
    } else {
      end = line.indexOf(',', from);
      value = line.slice(from, end < 0 ? line.length : end).trim();
    }
    if (name.length <= 64 && /^\w[\w \-/]*$/.test(name) && !fields.has(name))
      fields.set(name, value);
    if (end < 0) return fields;
    at = end + 1;
  }
}

function optionsOf(fields: ReadonlyMap<string, string>): Partial<GenerateOptions> {
  const number = (name: string): number | undefined => {
    const value = Number(fields.get(name) || NaN);
    return Number.isFinite(value) ? value : undefined;
  };
  const size = /^(\d{1,5})x(\d{1,5})$/.exec(fields.get('Size') ?? '');
  const clipSkip = number('Clip skip');
  const hires = number('Hires upscale');
  const denoising = number('Denoising strength');
  const tiling = fields.get('Tiling');
  const vaeTiling = parsed(fields.get('VAE tiling'));
  const schedulerOptions = parsed(fields.get('Scheduler options'));
  const oneGenerator = fields.get('One generator') === 'True';
  const options: Partial<GenerateOptions> = {
    steps: number('Steps'),
    sampler: samplerOf(fields.get('Sampler'), fields.get('Schedule type')),
    guidanceScale: number('CFG scale'),
    seed: number('Seed'),
    width: size ? Number(size[1]) : undefined,
    height: size ? Number(size[2]) : undefined,
    strength: hires === undefined ? denoising : number('Strength'),
    clipSkip: clipSkip !== undefined && clipSkip > 1 ? clipSkip - 1 : undefined,
    rng: (Object.keys(RNG) as (keyof typeof RNG)[]).find((kind) => RNG[kind] === fields.get('RNG')),
    eta: number('Eta'),
    syntax: fields.size === 0 || fields.get('Emphasis') === 'None' ? undefined : 'a1111',
    subseed: number('Variation seed'),
    subseedStrength: number('Variation seed strength'),
    secondPass: hires === undefined ? undefined : secondPassOf(hires, denoising, fields),
    maskBlur: number('Mask blur'),
    maskPadding: number('Masked area padding'),
    seamless: tiling === 'X' ? 'x' : tiling === 'Y' ? 'y' : tiling === 'True' || undefined,
    guidanceRescale: number('Guidance rescale'),
    guidanceStart: number('Guidance start'),
    guidanceEnd: number('Guidance end'),
    vaeTiling: typeof vaeTiling === 'boolean' ? vaeTiling : undefined,
    timesteps: numbersOf(fields.get('Timesteps')),
    sigmas: numbersOf(fields.get('Sigmas')),
    schedulerOptions:
      typeof schedulerOptions === 'object' && schedulerOptions !== null
        ? (schedulerOptions as Record<string, unknown>)
        : undefined,
    oneGenerator: oneGenerator || undefined,
    count: oneGenerator ? number('Batch size') : undefined,
  };
  for (const name of Object.keys(options) as (keyof GenerateOptions)[])
    if (options[name] === undefined) delete options[name];
  return options;
}

function secondPassOf(
  scale: number,
  strength: number | undefined,
  fields: ReadonlyMap<string, string>,
): SecondPass {
  const names = Object.keys(UPSCALERS) as Upscaler[];
  const upscaler = names.find((name) => UPSCALERS[name] === fields.get('Hires upscaler'));
  const steps = Number(fields.get('Hires steps') ?? 0);
  return {
    scale,
    ...(strength !== undefined && { strength }),
    ...(steps > 0 && { steps }),
    ...(upscaler && { upscaler }),
  };
}

/** A1111 writes the schedule apart from the sampler; `Automatic` and `Uniform` are no schedule. */
function samplerOf(sampler: string | undefined, schedule: string | undefined): string | undefined {
  if (!sampler || !schedule || /^(automatic|uniform)$/i.test(schedule)) return sampler || undefined;
  return `${sampler} ${schedule}`;
}

function numbersOf(json: string | undefined): number[] | undefined {
  const list = parsed(json);
  const isList = Array.isArray(list) && list.length > 0;
  return isList && list.every((n) => typeof n === 'number') ? (list as number[]) : undefined;
}

function parsed(json: string | undefined): unknown {
  try {
    return json === undefined ? undefined : (JSON.parse(json) as unknown);
  } catch {
    return undefined;
  }
}
