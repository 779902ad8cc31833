import type { Origin } from './origin.ts';

/**
 * A VAE parameter in CompVis checkpoints, without their `first_stage_model.`: blocks of the
 * decoder are numbered from the picture's side, and the attention's projections are 1×1
 * convolutions.
 * @param upBlocks how many up blocks the decoder has.
 */
export function ldmVaeOrigin(name: string, upBlocks: number): Origin {
  const attention = /^(encoder|decoder)\.mid_block\.attentions\.0\.([a-z_]+(?:\.0)?)\.(\w+)$/.exec(
    name,
  );
  if (attention) {
    const [, side, layer, kind] = attention;
    const source = `${side}.mid.attn_1.${ATTENTION.get(layer)}.${kind}`;
    return layer === 'group_norm' ? { source } : { source, change: 'pointwise' };
  }
  const source = name
    .replace(/^encoder\.down_blocks\.(\d+)\./, 'encoder.down.$1.')
    .replace(
      /^decoder\.up_blocks\.(\d+)\./,
      (_, i: string) => `decoder.up.${upBlocks - 1 - Number(i)}.`,
    )
    .replace('.downsamplers.0.', '.downsample.')
    .replace('.upsamplers.0.', '.upsample.')
    .replace('.mid_block.resnets.0.', '.mid.block_1.')
    .replace('.mid_block.resnets.1.', '.mid.block_2.')
    .replace('.resnets.', '.block.')
    .replace('.conv_norm_out.', '.norm_out.')
    .replace('.conv_shortcut.', '.nin_shortcut.');
  return { source };
}

const ATTENTION = new Map([
  ['group_norm', 'norm'],
  ['to_q', 'q'],
  ['to_k', 'k'],
  ['to_v', 'v'],
  ['to_out.0', 'proj_out'],
]);

/** The name before diffusers 0.17 of a parameter of the VAE's attention; others have none. */
export function oldVaeName(name: string): string | undefined {
  const match = /^(.*\.attentions\.0\.)(to_q|to_k|to_v|to_out\.0)\.(\w+)$/.exec(name);
  return match ? `${match[1]}${OLD.get(match[2])}.${match[3]}` : undefined;
}

const OLD = new Map([
  ['to_q', 'query'],
  ['to_k', 'key'],
  ['to_v', 'value'],
  ['to_out.0', 'proj_attn'],
]);
