import { CachedModel, sha256, type ModelCache } from '../cache/index.ts';
import { SDError } from '../errors.ts';
import { openTensors } from '../weights/open.ts';
import { SafetensorsReader } from '../weights/safetensors-reader.ts';
import type { RawTensor, TensorReader } from '../weights/tensor.ts';
import { identity, oneFile } from './open-checkpoint.ts';
import type { ModelLocation } from './protocol.ts';

/** A small weight file in memory: a LoRA, an embedding. */
export interface TensorFile {
  /** A URL or a path. */
  readonly name: string;
  readonly tensors: readonly RawTensor[];
  readonly metadata: ReadonlyMap<string, string>;
}

/**
 * Reads a whole file, from the cache where it is kept.
 * @param kind of file, for messages and for its place in the cache.
 * @throws SDError INVALID_OPTION where the location is a folder; and what reading throws
 */
export async function readTensorFile(
  location: ModelLocation,
  kind: string,
  cache: ModelCache | undefined,
  signal?: AbortSignal,
): Promise<TensorFile> {
  const source = oneFile(location);
  if (!source)
    throw new SDError(
      'INVALID_OPTION',
      `A ${kind} is one file (.safetensors, .ckpt, .pt, .pth or .bin), not a folder.`,
    );
  const { name } = source;
  let opened: Promise<TensorReader> | undefined;
  const reader = (): Promise<TensorReader> => (opened ??= openTensors(source, signal));
  const describe = async (): Promise<string> => {
    const it = await reader();
    const metadata = it instanceof SafetensorsReader ? it.metadata : new Map<string, string>();
    return JSON.stringify({ names: [...it.names()], metadata: [...metadata] });
  };
  const cached = cache?.available ? await placeOf(cache, location, kind, name) : undefined;
  const index = JSON.parse(
    (cached ? await cached.text('index.json', describe) : await describe())!,
  ) as { names: string[]; metadata: [string, string][] };

  const tensors: RawTensor[] = [];
  if (!cached)
    for await (const tensor of (await reader()).tensors(undefined, { signal }))
      tensors.push(tensor);
  else {
    const load = async function* (missing: readonly string[]) {
      for await (const tensor of (await reader()).tensors(missing, { signal })) {
        const { dtype, shape, bytes } = tensor;
        yield { name: tensor.name, meta: { dtype, shape }, blocks: [bytes] };
      }
    };
    for await (const item of cached.items('tensors', index.names, load, { signal })) {
      const { dtype, shape } = item.meta as Pick<RawTensor, 'dtype' | 'shape'>;
      tensors.push({ name: item.name, dtype, shape, bytes: new Uint8Array(item.blocks[0]) });
    }
  }
  return { name, tensors, metadata: new Map(index.metadata) };
}

async function placeOf(
  cache: ModelCache,
  location: ModelLocation,
  kind: string,
  name: string,
): Promise<CachedModel> {
  const text = JSON.stringify([kind, await identity(location)]);
  return new CachedModel(cache, { key: await sha256(new TextEncoder().encode(text)), name });
}
