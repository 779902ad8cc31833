import type { Origin } from './origin.ts';

/**
 * A CLIP text parameter, named as transformers does, in an OpenCLIP model: q, k and v are fused,
 * and the projection is stored for multiplication from the right.
 */
export function openClipOrigin(name: string): Origin {
  const top = TOP.get(name);
  if (top) return top;
  const layer = /^text_model\.encoder\.layers\.(\d+)\.([a-z0-9_.]+)\.(weight|bias)$/.exec(name);
  if (!layer) return { source: name };
  const [, i, module, kind] = layer;
  const block = `transformer.resblocks.${i}`;
  const third = THIRDS.get(module);
  if (third !== undefined) return { source: `${block}.attn.in_proj_${kind}`, change: { third } };
  return { source: `${block}.${MODULES.get(module) ?? module}.${kind}` };
}

const TOP = new Map<string, Origin>([
  ['text_model.embeddings.token_embedding.weight', { source: 'token_embedding.weight' }],
  ['text_model.embeddings.position_embedding.weight', { source: 'positional_embedding' }],
  ['text_model.final_layer_norm.weight', { source: 'ln_final.weight' }],
  ['text_model.final_layer_norm.bias', { source: 'ln_final.bias' }],
  ['text_projection.weight', { source: 'text_projection', change: 'transpose' }],
]);

const THIRDS = new Map<string, 0 | 1 | 2>([
  ['self_attn.q_proj', 0],
  ['self_attn.k_proj', 1],
  ['self_attn.v_proj', 2],
]);

const MODULES = new Map([
  ['layer_norm1', 'ln_1'],
  ['layer_norm2', 'ln_2'],
  ['mlp.fc1', 'mlp.c_fc'],
  ['mlp.fc2', 'mlp.c_proj'],
  ['self_attn.out_proj', 'attn.out_proj'],
]);
