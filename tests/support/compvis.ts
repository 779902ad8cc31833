import { ldmUNetName, unetLayout } from '../../sdk/formats/names/unet.ts';
import { ldmVaeOrigin } from '../../sdk/formats/names/vae.ts';
import { MemorySource } from '../../sdk/weights/source.ts';
import { SafetensorsReader } from '../../sdk/weights/safetensors-reader.ts';
import { writeSafetensors, type TestTensor } from '../unit/weights-helpers.ts';

/** Where the weights of each part lie in a diffusers folder. */
export const WEIGHTS = {
  unet: 'unet/diffusion_pytorch_model.safetensors',
  vae: 'vae/diffusion_pytorch_model.safetensors',
  text_encoder: 'text_encoder/model.safetensors',
} as const;

/**
 * The weights of a diffusers folder as one file under CompVis' names, as checkpoints are passed around.
 * @param read gives a file of the folder.
 */
export async function compVisFile(
  read: (path: string) => Promise<Uint8Array> | Uint8Array,
): Promise<Uint8Array<ArrayBuffer>> {
  const tensors: [string, TestTensor][] = [];
  for (const [part, path] of Object.entries(WEIGHTS)) {
    const reader = await SafetensorsReader.open(new MemorySource(await read(path)));
    const names = [...reader.names()];
    const layout = unetLayout(names);
    const blocks = new Set(names.map((name) => /^decoder\.up_blocks\.(\d+)/.exec(name)?.[1]));
    blocks.delete(undefined);
    const rename = {
      unet: (name: string) => `model.diffusion_model.${ldmUNetName(layout, name)}`,
      vae: (name: string) => `first_stage_model.${ldmVaeOrigin(name, blocks.size).source}`,
      text_encoder: (name: string) => `cond_stage_model.transformer.${name}`,
    }[part]!;
    for await (const { name, ...tensor } of reader.tensors()) tensors.push([rename(name), tensor]);
  }
  return writeSafetensors(tensors);
}
