import {
  add,
  Graph,
  relu,
  scale,
  tanh,
  upsample,
  type Scope,
  type Tensor,
} from '../graph/index.ts';
import { ConfigReader } from './config.ts';
import type { VaeShape } from './vae.ts';

/** AutoencoderTiny (TAESD) as diffusers configures it. */
export interface TaesdConfig {
  readonly imageChannels: number;
  readonly latentChannels: number;
  readonly encoderChannels: readonly number[];
  readonly decoderChannels: readonly number[];
  readonly encoderBlocks: readonly number[];
  readonly decoderBlocks: readonly number[];
  readonly scalingFactor: number;
}

/**
 * Reads the `config.json` of an AutoencoderTiny.
 * @throws SDError `INVALID_MODEL` for what is malformed or not built here
 */
export function parseTaesdConfig(json: unknown): TaesdConfig {
  const c = new ConfigReader(json, 'tiny VAE');
  c.refuse({
    act_fn: ['relu'],
    upsample_fn: ['nearest'],
    upsampling_scaling_factor: [2],
  });
  const encoderChannels = c.integers('encoder_block_out_channels', undefined, [64, 64, 64, 64]);
  const decoderChannels = c.integers('decoder_block_out_channels', undefined, [64, 64, 64, 64]);
  return {
    imageChannels: c.integer('in_channels', 3),
    latentChannels: c.integer('latent_channels', 4),
    encoderChannels,
    decoderChannels,
    encoderBlocks: c.integers('num_encoder_blocks', encoderChannels.length, [1, 3, 3, 3]),
    decoderBlocks: c.integers('num_decoder_blocks', decoderChannels.length, [3, 3, 3, 1]),
    scalingFactor: c.number('scaling_factor', 1),
  };
}

/**
 * Encoder of the tiny autoencoder. Input `image` `[batch, height, width, 3]` in **0..1** (the
 * caller maps from −1..1). Output `latents` `[batch, h, w, latent]`, scaled as the UNet sees them.
 */
export function traceTaesdEncoder(config: TaesdConfig, shape: VaeShape): Graph {
  const { batch, height, width, wrap } = shape;
  const graph = new Graph();
  const layers = graph.root.at('encoder.layers');
  let h = graph.input('image', [batch, height, width, config.imageChannels]);
  let index = 0;
  config.encoderChannels.forEach((channels, level) => {
    h = layers.conv(
      `${index++}`,
      h,
      channels,
      level === 0 ? { wrap } : { stride: 2, padding: 1, bias: false, wrap },
    );
    for (let i = 0; i < config.encoderBlocks[level]; i++)
      h = tinyBlock(layers.at(`${index++}`), h, channels, wrap);
  });
  graph.output('latents', layers.conv(`${index}`, h, config.latentChannels, { wrap }));
  return graph;
}

/**
 * Decoder of the tiny autoencoder. Input `latents` `[batch, height, width, latent]` as the UNet
 * sees them. Output `image` `[batch, H, W, 3]` in **0..1**.
 */
export function traceTaesdDecoder(config: TaesdConfig, shape: VaeShape): Graph {
  const { batch, height, width, wrap } = shape;
  const graph = new Graph();
  const layers = graph.root.at('decoder.layers');
  const last = config.decoderChannels.length - 1;
  const latents = graph.input('latents', [batch, height, width, config.latentChannels]);
  let h = scale(tanh(scale(latents, 1 / 3)), 3);
  h = relu(layers.conv('0', h, config.decoderChannels[0], { wrap }));
  // Index 1 is the ReLU: it holds no weights, nor does the upsampling.
  let index = 2;
  config.decoderChannels.forEach((channels, level) => {
    for (let i = 0; i < config.decoderBlocks[level]; i++)
      h = tinyBlock(layers.at(`${index++}`), h, channels, wrap);
    if (level < last) {
      h = upsample(h, [2 * h.shape[1], 2 * h.shape[2]]);
      index++;
      h = layers.conv(`${index++}`, h, channels, { bias: false, wrap });
    } else h = layers.conv(`${index++}`, h, config.imageChannels, { wrap });
  });
  graph.output('image', h);
  return graph;
}

function tinyBlock(m: Scope, x: Tensor, out: number, wrap: VaeShape['wrap']): Tensor {
  let h = relu(m.conv('conv.0', x, out, { wrap }));
  h = relu(m.conv('conv.2', h, out, { wrap }));
  h = m.conv('conv.4', h, out, { wrap });
  const skip = x.channels === out ? x : m.conv('skip', x, out, { kernel: 1, bias: false });
  return relu(add(h, skip));
}
