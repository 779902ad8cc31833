import { SDError } from '../../errors.ts';
import type { ByteSource } from '../../weights/source.ts';
import { DTYPE_BITS } from '../../weights/tensor.ts';
import { PickleEnds, unpickle, type PickleHooks } from './pickle.ts';
import { PyExternal, type PyValue } from './python.ts';
import type { StoragePlace } from './reader.ts';
import { invalid, torchHooks, type StorageRef } from './tensors.ts';

/** `torch.serialization.MAGIC_NUMBER`. */
const MAGIC = 0x1950a86a20f9469cfc6cn;
const PROTOCOL = 1001;
const FIRST_WINDOW = 1024 * 1024;
const LAST_WINDOW = 64 * 1024 * 1024;

/**
 * The stream that torch wrote before 1.6: four small pickles (magic number, protocol, machine,
 * object), a list of storage keys, and then each storage with its length before it.
 * Source: `torch/serialization.py`, `_legacy_load`.
 */
export async function openLegacy(
  source: ByteSource,
  size: number,
  signal?: AbortSignal,
): Promise<{ root: PyValue; places: ReadonlyMap<string, StoragePlace> }> {
  for (let window = FIRST_WINDOW; ; window *= 4) {
    const bytes = await source.read(0, Math.min(window, size), signal);
    try {
      return readHead(bytes, size);
    } catch (error) {
      if (!(error instanceof PickleEnds)) throw error;
      if (window >= size) throw invalid('a pickle that is cut off');
      if (window >= LAST_WINDOW) throw invalid(`a pickle of more than ${LAST_WINDOW} bytes`);
    }
  }
}

function readHead(
  bytes: Uint8Array<ArrayBuffer>,
  size: number,
): { root: PyValue; places: ReadonlyMap<string, StoragePlace> } {
  const storages = new Map<string, StorageRef>();
  const hooks: PickleHooks = {
    ...torchHooks,
    persistentId(id) {
      const value = torchHooks.persistentId(id);
      const ref = (value as PyExternal<StorageRef>).value;
      if (ref.dtype === undefined) throw invalid('an untyped storage');
      const known = storages.get(ref.key);
      // The count in the id is the root storage's, not the view's.
      if (known && (known.dtype !== ref.dtype || known.count !== ref.count))
        throw invalid(`two storages ${ref.key}`);
      storages.set(ref.key, { ...ref, offset: 0 });
      return ref.offset === 0
        ? value
        : new PyExternal<StorageRef>({ ...ref, count: Math.max(0, ref.count - ref.offset) });
    },
  };
  let at = 0;
  const next = (): PyValue => {
    const { value, end } = unpickle(bytes, hooks, at);
    at = end;
    return value;
  };
  if (next() !== MAGIC)
    throw new SDError(
      'UNSUPPORTED_FORMAT',
      'This file is a pickle, but not one that torch.save wrote. Save it as safetensors.',
    );
  if (next() !== PROTOCOL) throw invalid('an unknown protocol');
  const machine = next();
  if (!(machine instanceof Map) || machine.get('little_endian') !== true)
    throw new SDError('UNSUPPORTED_FORMAT', 'This checkpoint was written on a big-endian machine.');
  const root = next();
  const keys = next();
  if (!Array.isArray(keys)) throw invalid('no list of storages');

  const places = new Map<string, StoragePlace>();
  let begin = at;
  for (const key of keys) {
    const storage = typeof key === 'string' ? storages.get(key) : undefined;
    if (!storage || places.has(storage.key)) throw invalid('a list of storages that does not fit');
    const bytesLong = (storage.count * DTYPE_BITS.get(storage.dtype!)!) / 8;
    places.set(storage.key, { begin: begin + 8, size: bytesLong });
    begin += 8 + bytesLong;
  }
  if (begin !== size)
    throw invalid(
      begin > size
        ? `${size} bytes, where ${begin} are described: it is cut off`
        : 'bytes at its end',
    );
  return { root, places };
}
