import { activate, add, attention, Graph, selectRow } from '../graph/index.ts';
import type { ActivationFn, Scope, Tensor } from '../graph/index.ts';
import { ConfigReader } from './config.ts';

/** CLIPTextModel and CLIPTextModelWithProjection as transformers configures them. */
export interface ClipTextConfig {
  readonly vocabulary: number;
  readonly width: number;
  readonly mlpWidth: number;
  readonly layers: number;
  readonly heads: number;
  readonly maxTokens: number;
  readonly activation: ActivationFn;
  readonly eps: number;
  readonly eosToken: number;
  readonly projectionDim: number;
}

/**
 * Reads `text_encoder/config.json`. Follows transformers' `CLIPTextConfig`.
 * @throws SDError `INVALID_MODEL` for what is malformed or not built here
 */
export function parseClipTextConfig(json: unknown): ClipTextConfig {
  const c = new ConfigReader(json, 'text encoder');
  const width = c.integer('hidden_size', 512);
  const heads = c.integer('num_attention_heads', 8);
  if (heads < 1 || width % heads !== 0)
    throw c.fail('num_attention_heads', `a divisor of ${width}`);
  return {
    vocabulary: c.integer('vocab_size', 49408),
    width,
    mlpWidth: c.integer('intermediate_size', 2048),
    layers: c.integer('num_hidden_layers', 12),
    heads,
    maxTokens: c.integer('max_position_embeddings', 77),
    activation: c.string('hidden_act', ['quick_gelu', 'gelu', 'relu', 'silu'], 'quick_gelu'),
    eps: c.number('layer_norm_eps', 1e-5),
    eosToken: c.integer('eos_token_id', 49407),
    projectionDim: c.integer('projection_dim', 512),
  };
}

export interface ClipTextShape {
  readonly batch: number;
  readonly tokens: number;
  /** Layers left out at the end: 0 is the last layer's output (`hidden_states[-1 - skip]`). */
  readonly skip: number;
  /** Whether the final layer norm is applied to `hidden`: SD 1.x and 2.x yes, SDXL no. */
  readonly finalNorm: boolean;
  /** Also compute the pooled state: `plain`, or `projected` to a text embedding. */
  readonly pooled?: 'plain' | 'projected';
}

/**
 * The text encoder of CLIP (Radford 2021): a causal pre-norm transformer.
 *
 * Inputs: `ids` `[batch, tokens]`, and with `pooled` the row of each prompt's end, `rows`
 * `[batch]` (see {@link endRows}). Outputs: `hidden` `[batch, tokens, width]`; `pooled`
 * `[batch, width or projectionDim]`.
 */
export function traceClipText(config: ClipTextConfig, shape: ClipTextShape): Graph {
  const { batch, tokens, skip, finalNorm, pooled } = shape;
  const graph = new Graph();
  const m = graph.root.at('text_model');
  const names = { tokens: 'token_embedding.weight', positions: 'position_embedding.weight' };
  const ids = graph.input('ids', [batch, tokens], { dtype: 'i32' });
  let h = m.at('embeddings').embed(names, ids, config.vocabulary, config.maxTokens, config.width);
  const states = [h];
  const needed = pooled ? config.layers : config.layers - skip;
  for (let i = 0; i < needed; i++) {
    h = encoderLayer(m.at(`encoder.layers.${i}`), h, config);
    states.push(h);
  }
  const normed = (x: Tensor): Tensor => m.layerNorm('final_layer_norm', x, config.eps);
  const hidden = states[config.layers - skip];
  graph.output('hidden', finalNorm ? normed(hidden) : hidden);
  if (pooled) {
    const end = selectRow(normed(h), graph.input('rows', [batch], { dtype: 'i32' }));
    const project = (): Tensor =>
      graph.root.linear('text_projection', end, config.projectionDim, { bias: false });
    graph.output('pooled', pooled === 'projected' ? project() : end);
  }
  return graph;
}

function encoderLayer(m: Scope, x: Tensor, config: ClipTextConfig): Tensor {
  const { width, heads, eps } = config;
  const a = m.at('self_attn');
  const normed = m.layerNorm('layer_norm1', x, eps);
  const q = a.linear('q_proj', normed, width);
  const k = a.linear('k_proj', normed, width);
  const v = a.linear('v_proj', normed, width);
  const h = add(x, a.linear('out_proj', attention(q, k, v, heads, { causal: true }), width));
  const wide = m.linear('mlp.fc1', m.layerNorm('layer_norm2', h, eps), config.mlpWidth);
  return add(h, m.linear('mlp.fc2', activate(wide, config.activation), width));
}

/**
 * The row whose state is pooled: the first end token. Configs that carry the legacy end token 2 mean
 * the first largest id instead (transformers, `CLIPTextTransformer.forward`).
 */
export function endRows(
  ids: ArrayLike<number>,
  tokens: number,
  config: ClipTextConfig,
): Int32Array {
  const rows = new Int32Array(ids.length / tokens);
  for (let b = 0; b < rows.length; b++) {
    const row = Array.from({ length: tokens }, (_, i) => ids[b * tokens + i]);
    const end = config.eosToken === 2 ? Math.max(...row) : config.eosToken;
    // torch's argmax of an all-false row is 0
    rows[b] = Math.max(0, row.indexOf(end));
  }
  return rows;
}
