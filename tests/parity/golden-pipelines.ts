import type { Backend, PackedParam } from '../../sdk/backends/backend.ts';
import type { Param } from '../../sdk/graph/index.ts';
import type { ModelSource } from '../../sdk/pipeline/model-source.ts';
import { prepareInpainting, type Inpainting } from '../../sdk/pipeline/inpaint.ts';
import { Pipeline } from '../../sdk/pipeline/pipeline.ts';
import { toPicture } from '../../sdk/pipeline/pixels.ts';
import type { Job } from '../../sdk/pipeline/request.ts';
import { TorchGenerator } from '../../sdk/random/index.ts';
import type { Tokenizer } from '../../sdk/tokenizer/tokenizer.ts';
import { packTensor } from '../../sdk/weights/pack.ts';
import type { Report, Unsupported } from './golden-report.ts';
import { maxError, tinyWeights } from './tiny-weights.ts';

type Config = Record<string, unknown>;
interface Run {
  name: string;
  options: Record<string, unknown>;
  latents: { shape: number[]; data: number[] };
  /** HWC in 0..1. */
  image?: { shape: number[]; data: number[] };
  /** HWC in 0..255: what the caller gets where it is not what the VAE made. */
  pixels?: { shape: number[]; data: number[] };
}
export interface GoldenFile {
  text_encoder: Config;
  text_encoder_2?: Config;
  unet: Config;
  unets?: Record<string, Config>;
  vae: Config;
  vaes?: Record<string, Config>;
  vae_sdxl_scaling_factor?: number;
  scheduler: Config;
  prompt: string;
  negative: string;
  width: number;
  height: number;
  seed: number;
  init_image?: string;
  mask?: string;
  runs: Run[];
}

/** Makes the tokenizer of CLIP; rejects where the vocabulary is not at hand. */
export type TokenizerFactory = () => Promise<Pick<Tokenizer, 'encodeForModel' | 'modelMaxLength'>>;

/** Latents, relative to their largest value where that is above 1; one grey level of a picture. */
const LATENTS = { reference: 1e-3, wasm: 1e-3, webgpu: 2e-3 };
const PICTURE = 1 / 255;

/** Option names that a case may carry, and where they go. Anything else is not guessed at. */
const KNOWN = new Set([
  ...['mode', 'unet', 'scheduler', 'schedulerOverrides', 'steps', 'guidanceScale', 'negative'],
  ...[
    'seed',
    'seeds',
    'guidanceRescale',
    'eta',
    'strength',
    'prompt',
    'prompts',
    'width',
    'height',
  ],
  ...['clipSkip', 'clip_skip', 'batch', 'batchSize', 'batch_size', 'count', 'numImages'],
  ...['numImagesPerPrompt', 'num_images', 'num_images_per_prompt', 'negativePrompt'],
  ...['vae', 'mask', 'timesteps', 'sigmas', 'vaeTiling', 'vae_tiling', 'seamless'],
  ...['paddingMaskCrop', 'padding_mask_crop', 'guidance_rescale', 'num_inference_steps'],
]);

/** Runs a file in the format of pipelines.json. */
export async function run(
  json: GoldenFile,
  report: Report,
  unsupported: Unsupported,
  backend: Backend,
  tokenizer: TokenizerFactory,
): Promise<void> {
  for (const test of json.runs) {
    const strange = Object.keys(test.options).filter((key) => !KNOWN.has(key));
    if (strange.length > 0) {
      unsupported(test.name, `options not known here: ${strange.join(', ')}`);
      continue;
    }
    try {
      await runCase(json, test, report, backend, tokenizer);
    } catch (error) {
      // One case that cannot run must not hide the others.
      report(`${test.name} (${error})`, Infinity, 0);
    }
  }
}

async function runCase(
  json: GoldenFile,
  test: Run,
  report: Report,
  backend: Backend,
  tokenizer: TokenizerFactory,
): Promise<void> {
  const source = await sourceOf(json, test, tokenizer);
  const pipeline = await Pipeline.load(source, backend, { dtype: 'f32' });
  try {
    const inpainting = croppedOf(json, test);
    const job = jobOf(json, test, inpainting);
    const { latents, images, shape } = await pipeline.run(job);
    const expected = test.latents.data;
    const scale = Math.max(1, ...expected.map(Math.abs));
    report(`${test.name}/latents`, maxError(latents, expected) / scale, LATENTS[backend.name]);
    if (test.image) {
      const pixels = images.length / shape[0] / 3;
      const hwc = Float32Array.from(test.image.data, (_, i) => {
        const [picture, pixel] = [Math.floor(i / pixels / 3), Math.floor(i / 3) % pixels];
        const x = images[(picture * 3 + (i % 3)) * pixels + pixel];
        return Math.min(1, Math.max(0, x * 0.5 + 0.5));
      });
      report(`${test.name}/image`, maxError(hwc, test.image.data), PICTURE);
    }
    if (test.pixels && inpainting) {
      const { data } = inpainting.finish(toPicture(images, 0, job.width, job.height));
      const rgb = Float32Array.from([...data].filter((_, i) => i % 4 !== 3));
      report(`${test.name}/pixels`, maxError(rgb, test.pixels.data), 1);
    }
  } finally {
    pipeline.dispose();
  }
}

/** The value of an option under any of its names. */
function pickFrom(options: Record<string, unknown>) {
  return <T>(names: string[], fallback: T): T => {
    const name = names.find((key) => options[key] !== undefined && options[key] !== null);
    return name === undefined ? fallback : (options[name] as T);
  };
}

/** Inpainting of the masked region only, which starts from 8-bit pictures. */
function croppedOf(json: GoldenFile, { options }: Run): Inpainting | undefined {
  const pick = pickFrom(options);
  const padding = pick(['paddingMaskCrop', 'padding_mask_crop'], undefined as number | undefined);
  if (padding === undefined) return undefined;
  const [width, height] = [json.width, json.height];
  const image = toPicture(initialImage(json.init_image ?? '', height, width), 0, width, height);
  const mask = maskOf(pick(['mask'], json.mask ?? ''), height, width);
  const grey = { width, height, channels: 1, data: Uint8Array.from(mask, (m) => m * 255) };
  const rgba = Uint8ClampedArray.from({ length: 4 * width * height }, (_, i) =>
    i % 4 === 3 ? 255 : grey.data[Math.floor(i / 4)],
  );
  return prepareInpainting(
    image,
    { width, height, data: rgba },
    { width: pick(['width'], width), height: pick(['height'], height), blur: 0, padding },
  );
}

function jobOf(json: GoldenFile, { options: o, latents }: Run, cropped?: Inpainting): Job {
  const pick = pickFrom(o);
  const prompts = [pick(['prompts', 'prompt'], json.prompt)].flat();
  const negative = pick(['negativePrompt', 'negative'], false as boolean | string | string[]);
  const negatives = negative === true ? json.negative : negative === false ? undefined : negative;
  const width = pick(['width'], json.width);
  const height = pick(['height'], json.height);
  const batch = pick(
    ['batch', 'batchSize', 'batch_size', 'count', 'numImages', 'num_images'],
    latents.shape[0] / prompts.length,
  );
  const mode = pick<string>(['mode'], 'txt2img');
  const strength = pick(['strength'], mode === 'inpaint' ? 1 : 0.8);
  const image =
    mode === 'txt2img'
      ? undefined
      : {
          data: cropped?.data ?? initialImage(json.init_image ?? '', height, width),
          strength,
          mask:
            mode === 'inpaint'
              ? (cropped?.mask ?? maskOf(pick(['mask'], json.mask ?? ''), height, width))
              : undefined,
        };
  const isSeamless = pick(['seamless'], false);
  return {
    prompts,
    negativePrompts:
      negatives === undefined
        ? undefined
        : Array.isArray(negatives)
          ? negatives
          : prompts.map(() => negatives),
    count: pick(['numImagesPerPrompt', 'num_images_per_prompt'], batch),
    width,
    height,
    steps: pick(['steps', 'num_inference_steps'], 50),
    timesteps: pick(['timesteps'], undefined as number[] | undefined),
    sigmas: pick(['sigmas'], undefined as number[] | undefined),
    sampler: pick(['scheduler'], undefined as string | undefined),
    schedulerOptions: pick(['schedulerOverrides'], {}),
    guidanceScale: pick(['guidanceScale'], 7.5),
    guidanceRescale: pick(['guidanceRescale', 'guidance_rescale'], 0),
    eta: pick(['eta'], 0),
    clipSkip: pick(['clipSkip', 'clip_skip'], 0),
    seed: pick<number | number[]>(['seeds', 'seed'], json.seed),
    rng: 'torch',
    image,
    // The pictures are small: what is not said to be tiled is not.
    vaeTiling: pick(['vaeTiling', 'vae_tiling'], false),
    wrap: { x: isSeamless, y: isSeamless },
  };
}

/** The file's model with weights by the rule; SDXL where the UNet wants a pooled embedding. */
export async function sourceOf(
  json: GoldenFile,
  { options }: Run,
  tokenizer: TokenizerFactory,
): Promise<ModelSource> {
  const unet = json.unets?.[String(options.unet)] ?? json.unet;
  const isXl = unet.addition_embed_type !== undefined;
  const scaling = isXl && json.vae_sdxl_scaling_factor;
  const configs: Record<string, Config | undefined> = {
    text_encoder: json.text_encoder,
    text_encoder_2: isXl ? json.text_encoder_2 : undefined,
    unet,
    vae:
      json.vaes?.[String(options.vae)] ??
      (scaling ? { ...json.vae, scaling_factor: scaling } : json.vae),
    scheduler: json.scheduler,
  };
  const clip = await tokenizer();
  return {
    modelIndex: {},
    has: (part) => configs[part] !== undefined,
    config: async (part) => configs[part],
    tokenizer: async () => clip as Tokenizer,
    async *weights(part, params: ReadonlyMap<string, Param>): AsyncGenerator<PackedParam> {
      const base = part === 'text_encoder_2' ? 5000 : 1000;
      const values = tinyWeights(params.values(), base);
      for (const param of params.values())
        yield packTensor(param, values.get(param.name) as Float32Array<ArrayBuffer>, 'f32');
    },
  };
}

/** Reads "clamp(randn seed 11 (1,3,64,64)*0.25+0.5,0,1) …": a picture in 0..1; gives −1..1. */
function initialImage(text: string, height: number, width: number): Float32Array {
  const seed = /randn seed (\d+)/.exec(text);
  const affine = /\)\s*\*\s*([\d.]+)\s*\+\s*([\d.]+)/.exec(text);
  if (!seed || !affine) throw new Error(`cannot read the picture ${text}`);
  return new TorchGenerator(Number(seed[1])).randn([1, 3, height, width]).map((x) => {
    const y = Math.fround(Math.fround(x * Number(affine[1])) + Number(affine[2]));
    return 2 * Math.min(1, Math.max(0, y)) - 1;
  });
}

/** Reads "1 inside rows 16..47, cols 24..63, else 0", ends included. */
function maskOf(text: string, height: number, width: number): Float32Array {
  const found = /rows (\d+)\.\.(\d+), cols (\d+)\.\.(\d+)/.exec(text);
  if (!found) throw new Error(`cannot read the mask ${text}`);
  const [top, bottom, left, right] = found.slice(1).map(Number);
  return Float32Array.from({ length: height * width }, (_, i) => {
    const [y, x] = [Math.floor(i / width), i % width];
    return y >= top && y <= bottom && x >= left && x <= right ? 1 : 0;
  });
}
