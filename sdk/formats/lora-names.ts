import { ldmUNetName, unetLayout } from './names/unet.ts';

/** A weight that a LoRA can change. */
export interface LoraTarget {
  readonly part: LoraPart;
  /** The parameter's diffusers name, which ends in `.weight`. */
  readonly parameter: string;
  /** As torch has it. */
  readonly shape: readonly number[];
}
export type LoraPart = 'unet' | 'text_encoder' | 'text_encoder_2';

/** Matrices of the parts of a model by name. */
export type LoraTables = ReadonlyMap<
  LoraPart,
  ReadonlyMap<string, { readonly shape: readonly number[]; readonly kind: string }>
>;

/**
 * Every name that LoRA files use for a module of this model → the weight it stands for. The table
 * is made from the model's own names: kohya's turn dots into underscores, which cannot be undone.
 *
 * Sources: kohya-ss/sd-scripts `networks/lora.py` (SDXL UNets by their CompVis names), diffusers
 * `loaders/lora_base.py` and `lora_conversion_utils.py`, PEFT `save_and_load.py`.
 */
export function loraNames(tables: LoraTables): ReadonlyMap<string, LoraTarget> {
  const targets = new Map<string, LoraTarget>();
  for (const [part, table] of tables) {
    const layout = part === 'unet' ? unetLayout(table.keys()) : undefined;
    for (const [parameter, { shape, kind }] of table) {
      if (kind !== 'matrix' || !parameter.endsWith('.weight')) continue;
      const module = parameter.slice(0, -'.weight'.length);
      const target = { part, parameter, shape };
      const names = [
        ...[`${part}.${module}`, `base_model.model.${part}.${module}`, ...oldNames(part, module)],
        ...kohyaPrefixes(part).map((prefix) => prefix + module.replaceAll('.', '_')),
      ];
      if (layout) {
        const ldm = ldmUNetName(layout, parameter).slice(0, -'.weight'.length);
        names.push(`lora_unet_${ldm.replaceAll('.', '_')}`, module, `base_model.model.${module}`);
      }
      for (const name of names) targets.set(name, target);
    }
  }
  return targets;
}

function kohyaPrefixes(part: LoraPart): readonly string[] {
  if (part === 'unet') return ['lora_unet_'];
  return part === 'text_encoder' ? ['lora_te_', 'lora_te1_'] : ['lora_te2_'];
}

/** Names of diffusers before PEFT: the attention's processor held its LoRA. */
function oldNames(part: LoraPart, module: string): readonly string[] {
  const unet = /^(.*\.attn\d)\.(to_[qkv]|to_out\.0)$/.exec(module);
  if (part === 'unet' && unet)
    return [`unet.${unet[1]}.processor.${unet[2].replace('.0', '')}_lora`];
  const text = /^(.*\.self_attn)\.(q|k|v|out)_proj$/.exec(module);
  if (part === 'unet' || !text) return [];
  const [, attention, projection] = text;
  return [`${part}.${attention}.to_${projection}_lora`];
}
