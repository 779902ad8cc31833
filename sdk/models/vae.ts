import { Graph, silu, type Scope, type Tensor } from '../graph/index.ts';
import { pixelAttention, resnetBlock, upsampler, type BlockStyle } from './blocks.ts';
import { ConfigReader } from './config.ts';

/** AutoencoderKL as diffusers configures it. */
export interface VaeConfig {
  readonly imageChannels: number;
  readonly latentChannels: number;
  readonly channels: readonly number[];
  readonly layersPerBlock: number;
  readonly groups: number;
  readonly midAttention: boolean;
  readonly quantConv: boolean;
  readonly postQuantConv: boolean;
  /** Pictures larger than this are decoded in tiles when tiling is on. */
  readonly sampleSize: number;
  /** latents = (z − shift)·scaling */
  readonly scalingFactor: number;
  readonly shiftFactor: number;
  /** Per-channel statistics of the latents, where the model was trained with them. */
  readonly latentsMean?: readonly number[];
  readonly latentsStd?: readonly number[];
}

/** Every group norm of the autoencoder, unlike those of the UNet. */
const EPS = 1e-6;

/**
 * Reads `vae/config.json`. Follows diffusers' `AutoencoderKL.__init__`.
 * @throws SDError `INVALID_MODEL` for what is malformed or not built here
 */
export function parseVaeConfig(json: unknown): VaeConfig {
  const c = new ConfigReader(json, 'VAE');
  const channels = c.integers('block_out_channels', undefined, [64]);
  const levels = channels.map(() => 'x');
  c.list(
    'down_block_types',
    ['DownEncoderBlock2D'],
    levels.map(() => 'DownEncoderBlock2D'),
  );
  c.list(
    'up_block_types',
    ['UpDecoderBlock2D'],
    levels.map(() => 'UpDecoderBlock2D'),
  );
  c.refuse({
    act_fn: ['silu', 'swish'],
  });
  const groups = c.integer('norm_num_groups', 32);
  for (const n of channels)
    if (n % groups !== 0) throw c.fail('norm_num_groups', `a divisor of ${n} channels`);
  const latentChannels = c.integer('latent_channels', 4);
  const statistics = (key: string): number[] | undefined => {
    const list = (json as Record<string, unknown>)[key];
    if (list === undefined || list === null) return undefined;
    if (
      !Array.isArray(list) ||
      list.length !== latentChannels ||
      !list.every((n) => Number.isFinite(n))
    )
      throw c.fail(key, `${latentChannels} numbers`);
    return list as number[];
  };
  return {
    imageChannels: c.integer('in_channels', 3),
    latentChannels,
    channels,
    layersPerBlock: c.integer('layers_per_block', 1),
    groups,
    midAttention: c.boolean('mid_block_add_attention', true),
    quantConv: c.boolean('use_quant_conv', true),
    postQuantConv: c.boolean('use_post_quant_conv', true),
    sampleSize: c.integer('sample_size', 32),
    scalingFactor: c.number('scaling_factor', 0.18215),
    shiftFactor: c.number('shift_factor', 0),
    latentsMean: statistics('latents_mean'),
    latentsStd: statistics('latents_std'),
  };
}

/** How many picture pixels a latent pixel spans. */
export function vaeScale(config: VaeConfig): number {
  return 2 ** (config.channels.length - 1);
}

export interface VaeShape {
  readonly batch: number;
  /** Pixels of the traced input: of the picture for the encoder, of the latents for the decoder. */
  readonly height: number;
  readonly width: number;
  readonly wrap?: { readonly x: boolean; readonly y: boolean };
}

/**
 * Encoder of the autoencoder (Kingma 2014; Esser 2021). Input `image` `[batch, height, width, 3]`
 * in −1..1. Output `moments` `[batch, h, w, 2·latent]`: means, then log variances.
 */
export function traceVaeEncoder(config: VaeConfig, shape: VaeShape): Graph {
  const { channels, layersPerBlock } = config;
  const { batch, height, width, wrap } = shape;
  const style = { groups: config.groups, eps: EPS, wrap };
  const graph = new Graph();
  const m = graph.root.at('encoder');
  const last = channels.length - 1;
  let h = m.conv(
    'conv_in',
    graph.input('image', [batch, height, width, config.imageChannels]),
    channels[0],
    { wrap },
  );
  channels.forEach((out, i) => {
    const block = m.at(`down_blocks.${i}`);
    for (let j = 0; j < layersPerBlock; j++)
      h = resnetBlock(block.at(`resnets.${j}`), h, out, style);
    // Zeros at the right and the bottom only: the checkpoints were trained so.
    const padding = { top: 0, right: 1, bottom: 1, left: 0 };
    if (i < last) h = block.conv('downsamplers.0.conv', h, out, { stride: 2, padding, wrap });
  });
  h = midBlock(m.at('mid_block'), h, config, style);
  h = silu(m.groupNorm('conv_norm_out', h, config.groups, EPS));
  const moments = 2 * config.latentChannels;
  h = m.conv('conv_out', h, moments, { wrap });
  if (config.quantConv) h = graph.root.conv('quant_conv', h, moments, { kernel: 1 });
  graph.output('moments', h);
  return graph;
}

/**
 * Decoder of the autoencoder. Input `latents` `[batch, height, width, latent]`, unscaled (z).
 * Output `image` `[batch, H, W, 3]`, about −1..1.
 */
export function traceVaeDecoder(config: VaeConfig, shape: VaeShape): Graph {
  const { channels, layersPerBlock } = config;
  const { batch, height, width, wrap } = shape;
  const style = { groups: config.groups, eps: EPS, wrap };
  const graph = new Graph();
  const m = graph.root.at('decoder');
  const last = channels.length - 1;
  let h = graph.input('latents', [batch, height, width, config.latentChannels]);
  if (config.postQuantConv)
    h = graph.root.conv('post_quant_conv', h, config.latentChannels, { kernel: 1 });
  h = m.conv('conv_in', h, channels[last], { wrap });
  h = midBlock(m.at('mid_block'), h, config, style);
  for (let i = 0; i <= last; i++) {
    const block = m.at(`up_blocks.${i}`);
    for (let j = 0; j < layersPerBlock + 1; j++)
      h = resnetBlock(block.at(`resnets.${j}`), h, channels[last - i], style);
    if (i < last) h = upsampler(block, h, [2 * h.shape[1], 2 * h.shape[2]], wrap);
  }
  h = silu(m.groupNorm('conv_norm_out', h, config.groups, EPS));
  graph.output('image', m.conv('conv_out', h, config.imageChannels, { wrap }));
  return graph;
}

function midBlock(m: Scope, x: Tensor, config: VaeConfig, style: BlockStyle): Tensor {
  let h = resnetBlock(m.at('resnets.0'), x, x.channels, style);
  if (config.midAttention) h = pixelAttention(m.at('attentions.0'), h, style);
  return resnetBlock(m.at('resnets.1'), h, x.channels, style);
}
