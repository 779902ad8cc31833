import type { Backend } from '../backends/backend.ts';
import { isSDError } from '../errors.ts';
import type { Graph, Param } from '../graph/index.ts';
import type { VaeShape } from '../models/index.ts';
import type { Generator } from '../random/index.ts';
import { rowOf, stack, toNchw, toNhwc } from './layout.ts';
import type { ModelSource, PartName } from './model-source.ts';
import { Part, type PartOptions } from './part.ts';
import type { LatentShape } from './request.ts';
import { parseVaeModel, type VaeModel } from './vae-model.ts';
import { mapTiles, type Tiling } from './vae-tiles.ts';

/** How a picture goes through the VAE. */
export interface VaeMode {
  readonly signal?: AbortSignal;
  /** Axes that wrap around. */
  readonly wrap?: VaeShape['wrap'];
  /**
   * `true` is diffusers' `enable_tiling`. `auto` (default) takes tiles, of at least 512 pixels,
   * above 1024² and where the whole does not fit in memory.
   */
  readonly tiling?: boolean | 'auto';
  onNotice?(message: string): void;
}

/** The encoder or the decoder. */
interface Side {
  readonly name: 'encode' | 'decode';
  readonly input: string;
  readonly output: string;
  readonly channels: number;
  /** Pixels out per pixel in. */
  readonly scale: number;
  trace(shape: VaeShape): Graph;
}

/** Up to here the decoder of SD needs some two gigabytes, which most devices that run it have. */
const UNTILED_PIXELS = 1024 * 1024;
const LEAST_TILE = 512;
const OVERLAP = 0.25;

/** The VAE: pictures to latents as the UNet sees them, and back. All tensors are NCHW. */
export class Autoencoder {
  readonly model: VaeModel;
  readonly #part: Part;

  private constructor(model: VaeModel, part: Part) {
    this.model = model;
    this.#part = part;
  }

  static async load(
    source: ModelSource,
    backend: Backend,
    options: PartOptions & { readonly part?: PartName },
  ): Promise<Autoencoder> {
    const name = options.part ?? 'vae';
    const model = parseVaeModel(await source.config(name));
    const params = new Map<string, Param>([
      ...(model.encodes === 'nothing' ? [] : encoderOf(model)),
      ...model.traceDecoder({ batch: 1, height: 1, width: 1 }).params,
    ]);
    return new Autoencoder(
      model,
      await Part.load(source, name, params, backend, { ...options, keep: 2 }),
    );
  }

  /**
   * Draws latents of pictures from what the encoder says of them; TAESD says the latents themselves.
   * @param images `[n, 3, height, width]`, −1..1
   * @param draws how many samples to draw: `n`, or any number of a single picture
   * @returns `[draws, latent, h, w]`, scaled
   */
  async encode(
    images: Float32Array,
    height: number,
    width: number,
    generator: Generator,
    draws: number,
    mode: VaeMode = {},
  ): Promise<Float32Array> {
    const { model } = this;
    const size = model.imageChannels * height * width;
    const encoded: Float32Array[] = [];
    for (let at = 0; at < images.length; at += size)
      encoded.push(await this.#encodeOne(images.subarray(at, at + size), height, width, mode));
    const shape = [draws, model.latentChannels, height / model.scale, width / model.scale];
    const one = shape[1] * shape[2] * shape[3];
    const z = new Float32Array(draws * one);
    const noise = model.encodes === 'moments' ? generator.randn(shape) : undefined;
    for (let i = 0; i < z.length; i++) {
      const from = encoded[Math.floor(i / one) % encoded.length];
      const at = i % one;
      if (!noise) z[i] = from[at];
      else {
        const logVariance = Math.min(20, Math.max(-30, from[one + at]));
        z[i] = from[at] + Math.fround(Math.exp(0.5 * logVariance)) * noise[i];
      }
    }
    return model.scaled(z, shape);
  }

  /** Moments or latents of one picture, unscaled. */
  #encodeOne(
    image: Float32Array,
    height: number,
    width: number,
    mode: VaeMode,
  ): Promise<Float32Array> {
    const { model } = this;
    const encoder: Side = {
      name: 'encode',
      input: 'image',
      output: model.encodes,
      channels: (model.encodes === 'moments' ? 2 : 1) * model.latentChannels,
      scale: 1 / model.scale,
      trace: (shape) => model.traceEncoder(shape),
    };
    const shape = [1, model.imageChannels, height, width];
    return this.#through(encoder, model.toInput(image), shape, mode);
  }

  /**
   * @param latents scaled, of `shape`
   * @returns `[pictures, 3, height, width]`, about −1..1
   */
  async decode(
    latents: Float32Array,
    [pictures, ...size]: LatentShape,
    mode: VaeMode = {},
  ): Promise<Float32Array> {
    const { model } = this;
    const decoder: Side = {
      name: 'decode',
      input: 'latents',
      output: 'image',
      channels: model.imageChannels,
      scale: model.scale,
      trace: (traced) => model.traceDecoder(traced),
    };
    const one = [1, ...size];
    const images: Float32Array[] = [];
    // One picture at a time: the decoder's activations are the largest of all.
    for (let i = 0; i < pictures; i++) {
      const z = model.unscaled(rowOf(latents, i, pictures), one);
      images.push(model.fromOutput(await this.#through(decoder, z, one, mode)));
    }
    return stack(images);
  }

  /** One picture or its latents, whole or in tiles. */
  async #through(
    side: Side,
    data: Float32Array,
    shape: readonly number[],
    mode: VaeMode,
  ): Promise<Float32Array> {
    const { tiling = 'auto', wrap, onNotice } = mode;
    const [, , height, width] = shape;
    const tiles = this.#tiles(side, tiling === true ? 0 : LEAST_TILE);
    const whole = () => this.#run(side, data, shape, mode);
    const inTiles = () =>
      mapTiles(data, shape, tiles, (tile, size) => this.#run(side, tile, size, mode));
    const isLarger = Math.max(height, width) > tiles.from;
    // A tile does not see the far edge that it would have to meet.
    const isSeamless = wrap !== undefined && (wrap.x || wrap.y);
    if (tiling === false || !isLarger || isSeamless) return whole();
    const pixels = height * width * Math.max(1, side.scale) ** 2;
    if (tiling === true || pixels > UNTILED_PIXELS) return inTiles();
    try {
      return await whole();
    } catch (error) {
      if (!isSDError(error) || error.code !== 'OUT_OF_MEMORY') throw error;
      onNotice?.('The picture did not fit through the VAE at once; it was taken through in tiles.');
      return inTiles();
    }
  }

  async #run(
    { name, input, output, channels, scale, trace }: Side,
    data: Float32Array,
    shape: readonly number[],
    { wrap, signal }: VaeMode,
  ): Promise<Float32Array> {
    const [batch, , height, width] = shape;
    const key = `${name} ${height}×${width} ${wrap?.x ?? false} ${wrap?.y ?? false}`;
    const program = await this.#part.program(
      key,
      () => trace({ batch, height, width, wrap }),
      signal,
    );
    program.write(input, toNhwc(data, shape));
    await program.run(signal);
    return toNchw(await program.read(output), [batch, channels, height * scale, width * scale]);
  }

  /** @param least edge of a tile in pixels of the picture */
  #tiles({ name }: Side, least: number): Tiling {
    const { scale, sampleSize } = this.model;
    const latents = Math.floor(Math.max(sampleSize, least) / scale);
    const pixels = latents * scale;
    return name === 'encode'
      ? { from: pixels, to: latents, overlap: OVERLAP }
      : { from: latents, to: pixels, overlap: OVERLAP };
  }

  dispose(): void {
    this.#part.dispose();
  }
}

const encoderOf = (model: VaeModel): Iterable<[string, Param]> =>
  model.traceEncoder({ batch: 1, height: model.scale, width: model.scale }).params;
