import type { Checkpoint, Remember } from './checkpoint.ts';
import { readJson, type ModelFiles } from './files.ts';
import { openWeights } from './folder.ts';
import type { LoadFormats } from './formats.ts';
import { openTensors } from './open.ts';
import type { ByteSource } from './source.ts';
import type { TensorReader } from './tensor.ts';

/** A part from elsewhere: one file, or a folder with `config.json` and weights. */
export type PartSource =
  | { readonly kind: 'file'; readonly source: ByteSource; readonly remember: Remember }
  | { readonly kind: 'folder'; readonly files: ModelFiles; readonly variant?: string };

/**
 * A checkpoint with some of its parts taken from other places: the UNet of one model over the text
 * encoder and VAE of another, or a VAE of its own file. A file may also be a whole checkpoint, of
 * which the part is taken. Configs of a part from a folder replace those of the checkpoint, and so
 * does that of a tiny autoencoder (TAESD) in a file. `preview` is one more part, for previews alone.
 */
export function withParts(
  base: Checkpoint,
  parts: ReadonlyMap<string, PartSource>,
  formats: LoadFormats,
  signal?: AbortSignal,
): Checkpoint {
  const readers = new Map<string, Promise<TensorReader>>();
  const open = (name: string, part: PartSource): Promise<TensorReader> =>
    part.kind === 'file'
      ? openTensors(part.source, formats, signal)
      : openWeights(part.files, '', { variant: part.variant, formats, signal }).catch(() =>
          openWeights(part.files, name, { variant: part.variant, formats, signal }),
        );
  const tensors = (component: string): Promise<TensorReader> => {
    const part = parts.get(component);
    if (!part) return base.tensors(component);
    const reader = readers.get(component) ?? open(component, part);
    readers.set(component, reader);
    return reader;
  };
  return {
    ...base,
    components: parts.has('preview') ? new Set([...base.components, 'preview']) : base.components,
    async config(component) {
      const part = parts.get(component);
      if (part?.kind === 'file' && (component === 'vae' || component === 'preview')) {
        const found = await part.remember('config.json', async () => {
          const { taesdConfig } = await formats(signal);
          return JSON.stringify(taesdConfig(await tensors(component)) ?? null);
        });
        const config = JSON.parse(found!) as Record<string, unknown> | null;
        return config ?? base.config('vae');
      }
      if (part?.kind !== 'folder') return base.config(component);
      const path = (await part.files.has('config.json')) ? '' : `${component}/`;
      return readJson(part.files, `${path}config.json`, signal);
    },
    tensors,
  };
}
