import { SDError } from '../errors.ts';
import { noTensor } from './safetensors-reader.ts';
import { grouped, type ReadOptions, type TensorInfo, type TensorReader } from './tensor.ts';

/**
 * Several files read as one, shard after shard.
 * @param shardOf the file of each tensor, from the index.
 * @throws SDError INVALID_FILE where a file lacks a tensor that the index promises, or holds one
 *   that the index does not name.
 */
export function joinReaders(
  name: string,
  shardOf: ReadonlyMap<string, string>,
  readers: ReadonlyMap<string, TensorReader>,
): TensorReader {
  for (const [tensor, shard] of shardOf)
    if (!readers.get(shard)?.info(tensor)) throw noTensor(shard, tensor);
  for (const [shard, reader] of readers)
    for (const tensor of reader.names())
      if (shardOf.get(tensor) !== shard)
        throw new SDError(
          'INVALID_FILE',
          `${shard} holds ${JSON.stringify(tensor)}, which ${name} does not place there.`,
        );

  const readerOf = (tensor: string): TensorReader => {
    const shard = shardOf.get(tensor);
    if (shard === undefined) throw noTensor(name, tensor);
    return readers.get(shard)!;
  };
  return {
    names: () => shardOf.keys(),
    info: (tensor): TensorInfo | undefined =>
      shardOf.has(tensor) ? readerOf(tensor).info(tensor) : undefined,
    async *tensors(names: Iterable<string> = shardOf.keys(), options?: ReadOptions) {
      const wanted = grouped(names, readerOf);
      for (const reader of readers.values()) {
        const list = wanted.get(reader);
        if (list) yield* reader.tensors(list, options);
      }
    },
  };
}
