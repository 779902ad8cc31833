import type { VaeConfig } from '../models/index.ts';
import { TorchGenerator } from '../random/index.ts';
import { solveLinear } from '../samplers/solve-linear.ts';
import type { LatentShape } from './request.ts';

/** A linear map from a latent pixel to a colour in −1..1: `bias[c] + Σ latent[k] · weights[k][c]`. */
export interface RgbMap {
  /** Three numbers for each latent channel. */
  readonly weights: readonly (readonly number[])[];
  readonly bias: readonly number[];
}

/** The VAE of SD 1.x and 2.x: fitted by the community to real pictures, as ComfyUI has it. */
const SD1: RgbMap = {
  weights: [
    [0.3512, 0.2297, 0.3227],
    [0.325, 0.4974, 0.235],
    [-0.2829, 0.1762, 0.2721],
    [-0.212, -0.2616, -0.7177],
  ],
  bias: [0, 0, 0],
};

/** The VAE of SDXL, from the same source. */
const SDXL: RgbMap = {
  weights: [
    [0.3651, 0.4232, 0.4341],
    [-0.2533, -0.0042, 0.1068],
    [0.1076, 0.1111, -0.0362],
    [-0.3165, -0.2492, -0.2188],
  ],
  bias: [0.1084, -0.0175, -0.0011],
};

/** The map of a VAE that is known by its shape and scale; undefined for any other. */
export function knownRgbMap(config: VaeConfig): RgbMap | undefined {
  const isStable = config.latentChannels === 4 && config.channels.join() === '128,256,512,512';
  if (!isStable || config.latentsMean) return undefined;
  if (config.scalingFactor === 0.18215) return SD1;
  return config.scalingFactor === 0.13025 ? SDXL : undefined;
}

/** Edges in latent pixels of the latent that a map is fitted to, and of its flat patches. */
const EDGE = 16;
const PATCH = 2;

/**
 * The latent to fit an unknown VAE's map to: patches of random latents, each flat, because noise that
 * changes from pixel to pixel decodes to texture, not to the colours that a picture's areas have.
 * Small, so that decoding it costs a sixteenth of a picture of 512².
 */
export function probe(channels: number): { latents: Float32Array; shape: LatentShape } {
  const patches = EDGE / PATCH;
  const noise = new TorchGenerator(0).randn([channels, patches, patches]);
  const latents = Float32Array.from({ length: channels * EDGE * EDGE }, (_, i) => {
    const [c, y, x] = [Math.floor(i / (EDGE * EDGE)), Math.floor(i / EDGE) % EDGE, i % EDGE];
    return noise[(c * patches + Math.floor(y / PATCH)) * patches + Math.floor(x / PATCH)];
  });
  return { latents, shape: [1, channels, EDGE, EDGE] };
}

/**
 * Least squares of the mean colour under each latent pixel on the latent there.
 * @param latents NCHW of `shape`, one picture
 * @param image NCHW `[1, 3, h·scale, w·scale]`, what the VAE makes of them
 */
export function fitRgbMap(
  latents: Float32Array,
  [, channels, height, width]: LatentShape,
  image: Float32Array,
): RgbMap {
  const pixels = height * width;
  const scale = Math.sqrt(image.length / 3 / pixels);
  const unknowns = channels + 1;
  // Normal equations, with a right-hand side for each colour.
  const zeros = (length: number): number[] => new Array<number>(length).fill(0);
  const rows = Array.from({ length: unknowns }, () => zeros(unknowns));
  const right = Array.from({ length: 3 }, () => zeros(unknowns));
  for (let p = 0; p < pixels; p++) {
    const x = Array.from({ length: channels }, (_, k) => latents[k * pixels + p]);
    x.push(1);
    const [row, column] = [Math.floor(p / width), p % width];
    x.forEach((a, i) => x.forEach((b, j) => (rows[i][j] += a * b)));
    right.forEach((sums, c) => {
      const colour = meanUnder(image, c, row, column, width, height, scale);
      x.forEach((a, i) => (sums[i] += a * colour));
    });
  }
  // A channel that the VAE ignores must not make the system singular.
  for (let i = 0; i < unknowns; i++) rows[i][i] += 1e-6 * pixels;
  const colours = right.map((sums) => solveLinear(rows, sums));
  const weights = rows.map((_, i) => colours.map((colour) => colour[i]));
  return { weights: weights.slice(0, channels), bias: weights[channels] };
}

function meanUnder(
  image: Float32Array,
  channel: number,
  y: number,
  x: number,
  width: number,
  height: number,
  scale: number,
): number {
  const stride = width * scale;
  const from = (channel * height * scale + y * scale) * stride + x * scale;
  let sum = 0;
  for (let i = 0; i < scale; i++)
    for (let j = 0; j < scale; j++) sum += image[from + i * stride + j];
  return sum / scale ** 2;
}

/**
 * The first picture of NCHW latents through a map.
 * @returns NCHW `[1, 3, h, w]`, about −1..1: a pixel for each latent pixel
 */
export function applyRgbMap(
  { weights, bias }: RgbMap,
  latents: Float32Array,
  [, channels, height, width]: LatentShape,
): Float32Array {
  const pixels = height * width;
  return Float32Array.from({ length: 3 * pixels }, (_, i) => {
    const [c, p] = [Math.floor(i / pixels), i % pixels];
    let sum = bias[c];
    for (let k = 0; k < channels; k++) sum += weights[k][c] * latents[k * pixels + p];
    return sum;
  });
}
