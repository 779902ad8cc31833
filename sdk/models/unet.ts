import { add, concat, Graph, silu, sinusoid, type Tensor } from '../graph/index.ts';
import {
  resnetBlock,
  spatialTransformer,
  upsampler,
  type BlockStyle,
  type CrossAttention,
} from './blocks.ts';
import { ConfigReader } from './config.ts';

const DOWN_BLOCKS = ['CrossAttnDownBlock2D', 'DownBlock2D'] as const;
const UP_BLOCKS = ['CrossAttnUpBlock2D', 'UpBlock2D'] as const;

/** UNet2DConditionModel as diffusers configures it; per-level values are lists from top to bottom. */
export interface UNetConfig {
  readonly sampleSize: number;
  readonly inChannels: number;
  readonly outChannels: number;
  readonly channels: readonly number[];
  readonly layersPerBlock: readonly number[];
  readonly downAttention: readonly boolean[];
  readonly upAttention: readonly boolean[];
  readonly midAttention: boolean;
  readonly heads: readonly number[];
  readonly transformerLayers: readonly number[];
  readonly contextDim: number;
  readonly linearProjection: boolean;
  readonly groups: number;
  readonly eps: number;
  readonly flipSinToCos: boolean;
  readonly freqShift: number;
  readonly downsamplePadding: number;
  /** SDXL: size of the pooled text embedding plus six sinusoids; undefined elsewhere. */
  readonly added?: { readonly timeDim: number; readonly pooledDim: number };
  /** LCM: size of the guidance embedding; undefined elsewhere. */
  readonly guidanceDim?: number;
}

/** Numbers of a picture's size, crop and target that SDXL is told. */
const SDXL_TIME_IDS = 6;

/**
 * Reads `unet/config.json`. Follows diffusers' `UNet2DConditionModel.__init__`.
 * @param timeIds how many numbers describe the picture (5 in the SDXL refiner)
 * @throws SDError `INVALID_MODEL` for what is malformed or not built here
 */
export function parseUNetConfig(json: unknown, timeIds = SDXL_TIME_IDS): UNetConfig {
  const c = new ConfigReader(json, 'UNet');
  const channels = c.integers('block_out_channels', undefined, [320, 640, 1280, 1280]);
  const levels = channels.length;
  const crossFirst = (i: number): boolean => i < levels - 1;
  const down = c.list(
    'down_block_types',
    DOWN_BLOCKS,
    channels.map((_, i) => DOWN_BLOCKS[crossFirst(i) ? 0 : 1]),
  );
  const up = c.list(
    'up_block_types',
    UP_BLOCKS,
    channels.map((_, i) => UP_BLOCKS[i > 0 ? 0 : 1]),
  );
  if (down.length !== levels || up.length !== levels)
    throw c.fail('down_block_types', `${levels} levels, as many as block_out_channels`);
  const mid = c.string(
    'mid_block_type',
    ['UNetMidBlock2DCrossAttn', 'UNetMidBlock2D'],
    'UNetMidBlock2DCrossAttn',
  );
  c.refuse({
    act_fn: ['silu', 'swish'],
    center_input_sample: [],
    only_cross_attention: [],
    dual_cross_attention: [],
    class_embed_type: [],
    num_class_embeds: [],
    encoder_hid_dim: [],
    encoder_hid_dim_type: [],
    time_embedding_type: ['positional'],
    time_embedding_dim: [],
    time_embedding_act_fn: [],
    timestep_post_act: [],
    resnet_time_scale_shift: ['default'],
    resnet_skip_time_act: [],
    cross_attention_norm: [],
    reverse_transformer_layers_per_block: [],
    mid_block_scale_factor: [1],
    resnet_out_scale_factor: [1],
    conv_in_kernel: [3],
    conv_out_kernel: [3],
    attention_type: ['default'],
    addition_embed_type: ['text_time'],
  });

  // `attention_head_dim` is the number of heads, misnamed (diffusers issue 2011).
  const headsKey = c.has('num_attention_heads') ? 'num_attention_heads' : 'attention_head_dim';
  const heads = c.integers(headsKey, levels, 8);
  const groups = c.integer('norm_num_groups', 32);
  channels.forEach((n, i) => {
    if (n % groups !== 0) throw c.fail('norm_num_groups', `a divisor of ${n} channels`);
    if (n % heads[i] !== 0) throw c.fail(headsKey, `a divisor of ${n} channels`);
  });
  let added: UNetConfig['added'];
  if (c.has('addition_embed_type')) {
    const timeDim = c.integer('addition_time_embed_dim');
    const pooledDim = c.integer('projection_class_embeddings_input_dim') - timeIds * timeDim;
    if (pooledDim < 1)
      throw c.fail('projection_class_embeddings_input_dim', `more than ${timeIds * timeDim}`);
    added = { timeDim, pooledDim };
  }
  return {
    sampleSize: c.integer('sample_size', 64),
    inChannels: c.integer('in_channels', 4),
    outChannels: c.integer('out_channels', 4),
    channels,
    layersPerBlock: c.integers('layers_per_block', levels, 2),
    downAttention: down.map((type) => type === 'CrossAttnDownBlock2D'),
    upAttention: up.map((type) => type === 'CrossAttnUpBlock2D'),
    midAttention: mid === 'UNetMidBlock2DCrossAttn',
    heads,
    transformerLayers: c.integers('transformer_layers_per_block', levels, 1),
    contextDim: c.integers('cross_attention_dim', levels, 1280)[0],
    linearProjection: c.boolean('use_linear_projection', false),
    groups,
    eps: c.number('norm_eps', 1e-5),
    flipSinToCos: c.boolean('flip_sin_to_cos', true),
    freqShift: c.number('freq_shift', 0),
    downsamplePadding: c.integer('downsample_padding', 1),
    added,
    guidanceDim: c.has('time_cond_proj_dim') ? c.integer('time_cond_proj_dim') : undefined,
  };
}

/** Size of what the UNet is traced for: latent pixels, and tokens of the prompt. */
export interface UNetShape {
  readonly batch: number;
  readonly height: number;
  readonly width: number;
  readonly tokens: number;
  readonly timeIds?: number;
  /** Wrap around at the edges, so that the picture tiles. */
  readonly wrap?: { readonly x: boolean; readonly y: boolean };
  /** Told of each attention to the prompt. */
  readonly onCrossAttention?: (layer: CrossAttention) => void;
}

/**
 * The noise predictor of latent diffusion (Rombach 2022; Ronneberger 2015 for the U).
 *
 * Inputs: `sample` `[batch, height, width, in]`; `timestep` `[batch]`; `context`
 * `[batch, tokens, contextDim]`; SDXL: `pooled` `[batch, pooledDim]` and `timeIds` `[batch, 6]`;
 * LCM: `guidance` `[batch, guidanceDim]`. Output: `sample` `[batch, height, width, out]`.
 */
export function traceUNet(config: UNetConfig, shape: UNetShape): Graph {
  const { batch, height, width, tokens, timeIds = SDXL_TIME_IDS, wrap, onCrossAttention } = shape;
  const { channels, layersPerBlock, groups, eps } = config;
  const graph = new Graph();
  const m = graph.root;
  const style: BlockStyle = { groups, eps, wrap };
  const sample = graph.input('sample', [batch, height, width, config.inChannels]);
  const context = graph.input('context', [batch, tokens, config.contextDim], { rate: 'once' });
  const time = timeEmbedding(graph, config, batch, timeIds);
  const transformer = (name: string, x: Tensor, level: number): Tensor =>
    spatialTransformer(m.at(name), x, context, {
      groups,
      heads: config.heads[level],
      layers: config.transformerLayers[level],
      linearProjection: config.linearProjection,
      onCrossAttention,
    });

  let h = m.conv('conv_in', sample, channels[0], { wrap });
  const skips = [h];
  const last = channels.length - 1;
  channels.forEach((out, i) => {
    const block = `down_blocks.${i}`;
    for (let j = 0; j < layersPerBlock[i]; j++) {
      h = resnetBlock(m.at(`${block}.resnets.${j}`), h, out, style, time);
      if (config.downAttention[i]) h = transformer(`${block}.attentions.${j}`, h, i);
      skips.push(h);
    }
    if (i < last) {
      const padding = config.downsamplePadding;
      h = m.conv(`${block}.downsamplers.0.conv`, h, out, { stride: 2, padding, wrap });
      skips.push(h);
    }
  });

  h = resnetBlock(m.at('mid_block.resnets.0'), h, channels[last], style, time);
  if (config.midAttention) {
    h = transformer('mid_block.attentions.0', h, last);
    h = resnetBlock(m.at('mid_block.resnets.1'), h, channels[last], style, time);
  }

  channels.forEach((_, i) => {
    const level = last - i;
    const block = `up_blocks.${i}`;
    for (let j = 0; j < layersPerBlock[level] + 1; j++) {
      const joined = concat(h, skips.pop()!);
      h = resnetBlock(m.at(`${block}.resnets.${j}`), joined, channels[level], style, time);
      if (config.upAttention[i]) h = transformer(`${block}.attentions.${j}`, h, level);
    }
    if (level > 0) {
      // To the size of the next skip, which is not twice ours where a level's size was odd.
      const [, skipHeight, skipWidth] = skips[skips.length - 1].shape;
      h = upsampler(m.at(block), h, [skipHeight, skipWidth], wrap);
    }
  });

  h = silu(m.groupNorm('conv_norm_out', h, groups, eps));
  graph.output('sample', m.conv('conv_out', h, config.outChannels, { wrap }));
  return graph;
}

function timeEmbedding(graph: Graph, config: UNetConfig, batch: number, timeIds: number): Tensor {
  const m = graph.root;
  const dim = 4 * config.channels[0];
  const mlp = (name: string, x: Tensor): Tensor => {
    const at = m.at(name);
    return at.linear('linear_2', silu(at.linear('linear_1', x, dim)), dim);
  };
  const flip = { flip: config.flipSinToCos, shift: config.freqShift };
  let wave = sinusoid(graph.input('timestep', [batch]), config.channels[0], flip);
  if (config.guidanceDim) {
    const guidance = graph.input('guidance', [batch, config.guidanceDim], { rate: 'once' });
    const projected = m.linear('time_embedding.cond_proj', guidance, config.channels[0], {
      bias: false,
    });
    wave = add(wave, projected);
  }
  const time = mlp('time_embedding', wave);
  if (!config.added) return time;
  const pooled = graph.input('pooled', [batch, config.added.pooledDim], { rate: 'once' });
  const ids = graph.input('timeIds', [batch, timeIds], { rate: 'once' });
  return add(time, mlp('add_embedding', concat(pooled, sinusoid(ids, config.added.timeDim, flip))));
}
