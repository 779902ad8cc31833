/**
 * The name of a UNet parameter in CompVis checkpoints, without their `model.diffusion_model.`.
 * Source: diffusers `loaders/single_file_utils.py`, read backwards; CompVis
 * `openaimodel.py` builds the numbered blocks. The numbering follows from which blocks the table
 * has, so any depth, any number of levels and any placement of attention is covered.
 */
export function ldmUNetName(layout: UNetLayout, name: string): string {
  for (const [prefix, ldm] of TOP)
    if (name.startsWith(`${prefix}.`)) return ldm + name.slice(prefix.length);
  const block =
    /^(?:(down|up)_blocks\.(\d+)|mid_block)\.(resnets|attentions|downsamplers|upsamplers)\.(\d+)\.(.+)$/.exec(
      name,
    );
  if (!block) return name;
  const [, side, level, module, index, rest] = block;
  const inner = module === 'resnets' ? resnetName(rest) : rest;
  const j = Number(index);
  if (side === undefined)
    return `middle_block.${module === 'attentions' ? 2 * j + 1 : 2 * j}.${inner}`;
  const i = Number(level);
  if (side === 'down') {
    const first = layout.downStart[i];
    return module === 'downsamplers'
      ? `input_blocks.${first + layout.downLayers[i]}.0.op${rest.slice('conv'.length)}`
      : `input_blocks.${first + j}.${module === 'resnets' ? 0 : 1}.${inner}`;
  }
  const first = layout.upStart[i];
  if (module === 'upsamplers') {
    const place = layout.upAttention[i] ? 2 : 1;
    return `output_blocks.${first + layout.upLayers[i] - 1}.${place}.${rest}`;
  }
  return `output_blocks.${first + j}.${module === 'resnets' ? 0 : 1}.${inner}`;
}

export interface UNetLayout {
  /** Number of the first input block of each level; block 0 is `conv_in`. */
  readonly downStart: readonly number[];
  readonly downLayers: readonly number[];
  readonly upStart: readonly number[];
  readonly upLayers: readonly number[];
  readonly upAttention: readonly boolean[];
}

/** Reads the structure of a UNet off the names of its parameters. */
export function unetLayout(names: Iterable<string>): UNetLayout {
  const downLayers: number[] = [];
  const upLayers: number[] = [];
  const upAttention: boolean[] = [];
  for (const name of names) {
    const match = /^(down|up)_blocks\.(\d+)\.(resnets|attentions)\.(\d+)\./.exec(name);
    if (!match) continue;
    const [i, j] = [Number(match[2]), Number(match[4])];
    const layers = match[1] === 'down' ? downLayers : upLayers;
    layers[i] = Math.max(layers[i] ?? 0, j + 1);
    if (match[1] === 'up') upAttention[i] ||= match[3] === 'attentions';
  }
  const starts = (layers: readonly number[], begin: number, extra: number): number[] => {
    let at = begin;
    return Array.from(layers, (count) => {
      const start = at;
      at += count + extra;
      return start;
    });
  };
  return {
    downStart: starts(downLayers, 1, 1),
    downLayers,
    upStart: starts(upLayers, 0, 0),
    upLayers,
    upAttention,
  };
}

const TOP: readonly [string, string][] = [
  ['conv_in', 'input_blocks.0.0'],
  ['conv_norm_out', 'out.0'],
  ['conv_out', 'out.2'],
  ['time_embedding.linear_1', 'time_embed.0'],
  ['time_embedding.linear_2', 'time_embed.2'],
  ['time_embedding.cond_proj', 'time_embed.cond_proj'],
  ['add_embedding.linear_1', 'label_emb.0.0'],
  ['add_embedding.linear_2', 'label_emb.0.2'],
];

const RESNET = new Map([
  ['norm1', 'in_layers.0'],
  ['conv1', 'in_layers.2'],
  ['time_emb_proj', 'emb_layers.1'],
  ['norm2', 'out_layers.0'],
  ['conv2', 'out_layers.3'],
  ['conv_shortcut', 'skip_connection'],
]);

function resnetName(rest: string): string {
  const [layer, ...tail] = rest.split('.');
  return [RESNET.get(layer) ?? layer, ...tail].join('.');
}
