import type { Graph } from '../graph/index.ts';
import {
  parseTaesdConfig,
  parseVaeConfig,
  traceTaesdDecoder,
  traceTaesdEncoder,
  traceVaeDecoder,
  traceVaeEncoder,
  vaeScale,
  type TaesdConfig,
  type VaeConfig,
  type VaeShape,
} from '../models/index.ts';

/** What the two kinds of autoencoder have in common: AutoencoderKL, and the tiny one (TAESD). */
export interface VaeModel {
  readonly imageChannels: number;
  readonly latentChannels: number;
  /** Picture pixels per latent pixel. */
  readonly scale: number;
  /** Edge of a tile in picture pixels. */
  readonly sampleSize: number;
  /**
   * The encoder's output: means and log variances to draw from, or the latents themselves; `nothing`
   * where there is a decoder alone.
   */
  readonly encodes: 'moments' | 'latents' | 'nothing';
  traceEncoder(shape: VaeShape): Graph;
  traceDecoder(shape: VaeShape): Graph;
  /** From −1..1 to what the encoder takes, and from what the decoder gives back to −1..1. */
  toInput(image: Float32Array): Float32Array;
  fromOutput(image: Float32Array): Float32Array;
  /** From the decoder's latents of NCHW `shape` to the UNet's, and back. */
  scaled(z: Float32Array, shape: readonly number[]): Float32Array;
  unscaled(latents: Float32Array, shape: readonly number[]): Float32Array;
  /** The config, where it is an AutoencoderKL. */
  readonly kl?: VaeConfig;
}

/**
 * Reads the config of either kind; TAESD's is told by its class, or by keys that only it has.
 * @throws SDError `INVALID_MODEL`
 */
export function parseVaeModel(json: unknown): VaeModel {
  const config = json as Readonly<Record<string, unknown>> | null;
  const isTiny =
    config?._class_name === 'AutoencoderTiny' ||
    (config?._class_name === undefined && config?.encoder_block_out_channels !== undefined);
  return isTiny ? tinyModel(parseTaesdConfig(json)) : klModel(parseVaeConfig(json));
}

function klModel(config: VaeConfig): VaeModel {
  const { scalingFactor, shiftFactor, latentsMean, latentsStd } = config;
  const same = (image: Float32Array): Float32Array => image;
  return {
    imageChannels: config.imageChannels,
    latentChannels: config.latentChannels,
    scale: vaeScale(config),
    sampleSize: config.sampleSize,
    encodes: 'moments',
    traceEncoder: (shape) => traceVaeEncoder(config, shape),
    traceDecoder: (shape) => traceVaeDecoder(config, shape),
    toInput: same,
    fromOutput: same,
    scaled(z, [, channels, height, width]) {
      if (!latentsMean || !latentsStd)
        return z.map((x) => Math.fround(x - shiftFactor) * scalingFactor);
      return z.map((x, i) => {
        const c = Math.floor(i / (height * width)) % channels;
        return ((x - latentsMean[c]) * scalingFactor) / latentsStd[c];
      });
    },
    unscaled(latents, [, channels, height, width]) {
      if (!latentsMean || !latentsStd) return latents.map((x) => x / scalingFactor + shiftFactor);
      return latents.map((x, i) => {
        const c = Math.floor(i / (height * width)) % channels;
        return (x * latentsStd[c]) / scalingFactor + latentsMean[c];
      });
    },
    kl: config,
  };
}

/** Its pictures are 0..1 inside, its latents those of the UNet. */
function tinyModel(config: TaesdConfig): VaeModel {
  return {
    imageChannels: config.imageChannels,
    latentChannels: config.latentChannels,
    scale: 2 ** (config.decoderChannels.length - 1),
    sampleSize: 512,
    encodes: config.encoderChannels.length > 0 ? 'latents' : 'nothing',
    traceEncoder: (shape) => traceTaesdEncoder(config, shape),
    traceDecoder: (shape) => traceTaesdDecoder(config, shape),
    toInput: (image) => image.map((x) => Math.fround(x + 1) / 2),
    fromOutput: (image) => image.map((x) => Math.fround(x * 2) - 1),
    scaled: (z) => z.map((x) => x * config.scalingFactor),
    unscaled: (latents) => latents.map((x) => x / config.scalingFactor),
  };
}
