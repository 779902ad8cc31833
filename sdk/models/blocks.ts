import { add, attention, reshape, silu, upsample, geglu } from '../graph/index.ts';
import type { ConvGeometry, Scope, Tensor } from '../graph/index.ts';

/** What every block of a network shares. */
export interface BlockStyle {
  readonly groups: number;
  readonly eps: number;
  readonly wrap?: ConvGeometry['wrap'];
}

/**
 * Residual block (He 2016, with the time embedding of Ho 2020): two convolutions, each behind group
 * norm and SiLU; the time embedding is added between them, once per channel.
 */
export function resnetBlock(
  m: Scope,
  x: Tensor,
  out: number,
  style: BlockStyle,
  timeEmbedding?: Tensor,
): Tensor {
  const { groups, eps, wrap } = style;
  let h = m.conv('conv1', silu(m.groupNorm('norm1', x, groups, eps)), out, { wrap });
  if (timeEmbedding) {
    const shift = m.linear('time_emb_proj', silu(timeEmbedding), out);
    h = add(h, reshape(shift, [shift.shape[0], 1, 1, out]));
  }
  h = m.conv('conv2', silu(m.groupNorm('norm2', h, groups, eps)), out, { wrap });
  const shortcut = x.channels === out ? x : m.conv('conv_shortcut', x, out, { kernel: 1 });
  return add(shortcut, h);
}

/** Nearest neighbour to `size`, then a convolution. */
export function upsampler(
  m: Scope,
  x: Tensor,
  size: readonly [number, number],
  wrap?: ConvGeometry['wrap'],
): Tensor {
  return m.conv('upsamplers.0.conv', upsample(x, size), x.channels, { wrap });
}

/** Attention over the pixels of a feature map, one head, as in the VAE's middle. */
export function pixelAttention(m: Scope, x: Tensor, style: BlockStyle): Tensor {
  const [batch, height, width, channels] = x.shape;
  const normed = m.groupNorm('group_norm', x, style.groups, style.eps);
  const tokens = reshape(normed, [batch, height * width, channels]);
  const q = m.linear('to_q', tokens, channels);
  const k = m.linear('to_k', tokens, channels);
  const v = m.linear('to_v', tokens, channels);
  const h = m.linear('to_out.0', attention(q, k, v, 1), channels);
  return add(x, reshape(h, x.shape));
}

export interface TransformerStyle {
  readonly groups: number;
  readonly heads: number;
  readonly layers: number;
  /** SD 2.x and SDXL project with linear layers, SD 1.x with 1×1 convolutions: the weights' shapes differ. */
  readonly linearProjection: boolean;
  /** Told of the queries and keys of each attention to the prompt, by pages that show it. */
  readonly onCrossAttention?: (layer: CrossAttention) => void;
}

/** Queries `[batch, height · width, heads · d]` of a feature map, and keys `[batch, tokens, heads · d]`. */
export interface CrossAttention {
  readonly q: Tensor;
  readonly k: Tensor;
  readonly heads: number;
  readonly height: number;
  readonly width: number;
}

/** Spatial transformer (Rombach 2022, section 3.3): pixels attend to themselves and to the prompt. */
export function spatialTransformer(
  m: Scope,
  x: Tensor,
  context: Tensor,
  { groups, heads, layers, linearProjection, onCrossAttention }: TransformerStyle,
): Tensor {
  const [batch, height, width, channels] = x.shape;
  const tokens = [batch, height * width, channels];
  const normed = m.groupNorm('norm', x, groups, 1e-6);
  let h = linearProjection
    ? m.linear('proj_in', reshape(normed, tokens), channels)
    : reshape(m.conv('proj_in', normed, channels, { kernel: 1 }), tokens);
  const tell = (q: Tensor, k: Tensor): void => onCrossAttention?.({ q, k, heads, height, width });
  for (let i = 0; i < layers; i++)
    h = transformerBlock(m.at(`transformer_blocks.${i}`), h, context, heads, tell);
  h = linearProjection
    ? reshape(m.linear('proj_out', h, channels), x.shape)
    : m.conv('proj_out', reshape(h, x.shape), channels, { kernel: 1 });
  return add(x, h);
}

function transformerBlock(
  m: Scope,
  x: Tensor,
  context: Tensor,
  heads: number,
  tell: (q: Tensor, k: Tensor) => void,
): Tensor {
  const channels = x.channels;
  const attend = (a: Scope, from: Tensor, to: Tensor): Tensor => {
    const q = a.linear('to_q', from, channels, { bias: false });
    const k = a.linear('to_k', to, channels, { bias: false });
    const v = a.linear('to_v', to, channels, { bias: false });
    if (to === context) tell(q, k);
    return a.linear('to_out.0', attention(q, k, v, heads), channels);
  };
  const normed = m.layerNorm('norm1', x, 1e-5);
  let h = add(x, attend(m.at('attn1'), normed, normed));
  h = add(h, attend(m.at('attn2'), m.layerNorm('norm2', h, 1e-5), context));
  const gated = geglu(m.linear('ff.net.0.proj', m.layerNorm('norm3', h, 1e-5), 8 * channels));
  return add(h, m.linear('ff.net.2', gated, channels));
}
