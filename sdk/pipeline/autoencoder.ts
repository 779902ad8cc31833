import type { Backend, WeightDtype } from '../backends/backend.ts';
import type { Param } from '../graph/index.ts';
import {
  parseVaeConfig,
  traceVaeDecoder,
  traceVaeEncoder,
  vaeScale,
  type VaeConfig,
} from '../models/index.ts';
import type { Generator } from '../random/index.ts';
import { toNchw, toNhwc } from './layout.ts';
import type { ModelSource } from './model-source.ts';
import { Part } from './part.ts';
import type { LatentShape } from './request.ts';

/** The VAE: pictures to latents as the UNet sees them, and back. All tensors are NCHW. */
export class Autoencoder {
  readonly config: VaeConfig;
  /** Picture pixels per latent pixel. */
  readonly scale: number;
  readonly #part: Part;

  private constructor(config: VaeConfig, part: Part) {
    this.config = config;
    this.scale = vaeScale(config);
    this.#part = part;
  }

  static async load(
    source: ModelSource,
    backend: Backend,
    options: { dtype: WeightDtype; signal?: AbortSignal; onBytes?: (count: number) => void },
  ): Promise<Autoencoder> {
    const config = parseVaeConfig(await source.config('vae'));
    const scale = vaeScale(config);
    const params = new Map<string, Param>([
      ...traceVaeEncoder(config, { batch: 1, height: scale, width: scale }).params,
      ...traceVaeDecoder(config, { batch: 1, height: 1, width: 1 }).params,
    ]);
    return new Autoencoder(
      config,
      await Part.load(source, 'vae', params, backend, { ...options, keep: 2 }),
    );
  }

  /**
   * Samples latents of a picture.
   * @param image `[1, 3, height, width]`, −1..1
   * @param draws how many samples to draw of the one picture
   * @returns `[draws, latent, h, w]`, scaled
   */
  async encode(
    image: Float32Array,
    height: number,
    width: number,
    generator: Generator,
    draws: number,
    signal?: AbortSignal,
  ): Promise<Float32Array> {
    const { config, scale } = this;
    const program = await this.#part.program(`encode ${height}×${width}`, () =>
      traceVaeEncoder(config, { batch: 1, height, width }),
    );
    program.write('image', toNhwc(image, [1, config.imageChannels, height, width]));
    await program.run(signal);
    const shape = [draws, config.latentChannels, height / scale, width / scale];
    const moments = toNchw(await program.read('moments'), [1, 2 * shape[1], shape[2], shape[3]]);
    const half = moments.length / 2;
    const noise = generator.randn(shape);
    const z = noise.map((n, i) => {
      const at = i % half;
      const logVariance = Math.min(20, Math.max(-30, moments[half + at]));
      return moments[at] + Math.fround(Math.exp(0.5 * logVariance)) * n;
    });
    return this.#scaled(z, shape);
  }

  /**
   * @param latents scaled
   * @returns `[pictures, 3, height, width]`, about −1..1
   */
  async decode(
    latents: Float32Array,
    shape: LatentShape,
    signal?: AbortSignal,
  ): Promise<Float32Array> {
    const { config, scale } = this;
    const [pictures, channels, height, width] = shape;
    const program = await this.#part.program(`decode ${height}×${width}`, () =>
      traceVaeDecoder(config, { batch: 1, height, width }),
    );
    const size = channels * height * width;
    const imageShape = [1, config.imageChannels, height * scale, width * scale];
    const out = new Float32Array(pictures * imageShape[1] * imageShape[2] * imageShape[3]);
    // One picture at a time: the decoder's activations are the largest of all.
    for (let i = 0; i < pictures; i++) {
      const z = this.#unscaled(latents.subarray(i * size, (i + 1) * size), shape);
      program.write('latents', toNhwc(z, [1, channels, height, width]));
      await program.run(signal);
      const image = toNchw(await program.read('image'), imageShape);
      out.set(image, i * image.length);
    }
    return out;
  }

  #scaled(z: Float32Array, shape: readonly number[]): Float32Array {
    const { scalingFactor, shiftFactor, latentsMean, latentsStd } = this.config;
    const pixels = shape[2] * shape[3];
    if (!latentsMean || !latentsStd)
      return z.map((x) => Math.fround(x - shiftFactor) * scalingFactor);
    return z.map((x, i) => {
      const c = Math.floor(i / pixels) % shape[1];
      return ((x - latentsMean[c]) * scalingFactor) / latentsStd[c];
    });
  }

  #unscaled(latents: Float32Array, shape: readonly number[]): Float32Array {
    const { scalingFactor, shiftFactor, latentsMean, latentsStd } = this.config;
    const pixels = shape[2] * shape[3];
    if (!latentsMean || !latentsStd) return latents.map((x) => x / scalingFactor + shiftFactor);
    return latents.map((x, i) => {
      const c = Math.floor(i / pixels);
      return (x * latentsStd[c]) / scalingFactor + latentsMean[c];
    });
  }

  dispose(): void {
    this.#part.dispose();
  }
}
