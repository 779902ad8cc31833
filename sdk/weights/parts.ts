import type { Checkpoint } from './checkpoint.ts';
import { readJson, type ModelFiles } from './files.ts';
import { openWeights, type FolderOptions } from './folder.ts';
import type { TensorReader } from './tensor.ts';

/** A part of a model from another place than its checkpoint. */
export interface OtherPart {
  readonly tensors: () => Promise<TensorReader>;
  /** Undefined where it has none of its own, and that of the checkpoint holds. */
  readonly config: () => Promise<Readonly<Record<string, unknown>> | undefined>;
}

/** A part in a folder with `config.json` and weights, or in that of a whole model. */
export function folderPart(files: ModelFiles, name: string, options: FolderOptions): OtherPart {
  return {
    tensors: once(() =>
      openWeights(files, '', options).catch(() => openWeights(files, name, options)),
    ),
    async config() {
      const path = (await files.has('config.json')) ? '' : `${name}/`;
      return readJson(files, `${path}config.json`, options.signal);
    },
  };
}

/**
 * A checkpoint with some of its parts taken from other places: the UNet of one model over the text
 * encoder and VAE of another, or a VAE of its own file. `preview` is one more part, for previews alone.
 */
export function withParts(base: Checkpoint, parts: ReadonlyMap<string, OtherPart>): Checkpoint {
  return {
    ...base,
    components: parts.has('preview') ? new Set([...base.components, 'preview']) : base.components,
    config: async (component) =>
      (await parts.get(component)?.config()) ??
      base.config(component === 'preview' ? 'vae' : component),
    tensors: (component) => parts.get(component)?.tensors() ?? base.tensors(component),
  };
}

/** The same promise at every call. */
export function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => (made ??= make());
}
