import type { CachedModel } from '../cache/index.ts';
import { once } from '../weights/parts.ts';
import type { RawTensor, TensorReader } from '../weights/tensor.ts';

/** A small weight file: a LoRA, an embedding. */
export interface TensorFile {
  /** A URL or a path. */
  readonly name: string;
  /** Tells it from others. */
  readonly key: string;
  readonly open: (signal?: AbortSignal) => Promise<TensorReader>;
  /** Where it is kept between sessions; undefined where it is not. */
  readonly cached: CachedModel | undefined;
}

/** What is in such a file. */
export interface Tensors {
  readonly tensors: readonly RawTensor[];
  readonly metadata: ReadonlyMap<string, string>;
}

/** Reads a whole file, from the cache where it is kept. @throws what opening and reading throw */
export async function readTensorFile(
  { open, cached }: TensorFile,
  signal?: AbortSignal,
): Promise<Tensors> {
  const reader = once(() => open(signal));
  const describe = async (): Promise<string> => {
    const it = await reader();
    return JSON.stringify({ names: [...it.names()], metadata: [...(it.metadata ?? [])] });
  };
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
  return { tensors, metadata: new Map(index.metadata) };
}
