import { SDError } from '../errors.ts';
import { float32ToFloat16 } from '../small-floats.ts';
import type { Cursor } from './source.ts';
import type { RawTensor, ReadOptions, TensorInfo } from './tensor.ts';

/** Bytes that are converted at once: they stay in the second-level cache. */
const BLOCK = 256 * 1024;

/**
 * A tensor of f32 as the bits of f16, converted as its pieces come, so that the f32 are never in memory
 * as a whole.
 *
 * @param pieces its bytes, in all `4 · count`, cut anywhere.
 * @throws SDError INVALID_FILE where a finite value is too large for f16
 */
export async function readHalf(
  name: string,
  pieces: AsyncIterable<Uint8Array>,
  count: number,
  onBytes?: (count: number) => void,
): Promise<Uint8Array<ArrayBuffer>> {
  const out = new Uint16Array(count);
  const block = new Uint8Array(BLOCK);
  let filled = 0;
  let done = 0;
  const convert = (): void => {
    const values = new Float32Array(block.buffer, 0, filled / 4);
    const codes = float32ToFloat16(values);
    for (let i = 0; i < codes.length; i++)
      if ((codes[i] & 0x7fff) === 0x7c00 && Number.isFinite(values[i])) throw tooLarge(name);
    out.set(codes, done);
    done += codes.length;
    filled = 0;
  };
  for await (const piece of pieces) {
    for (let at = 0; at < piece.length;) {
      const part = piece.subarray(at, at + BLOCK - filled);
      block.set(part, filled);
      filled += part.length;
      at += part.length;
      if (filled === BLOCK) convert();
    }
    onBytes?.(piece.length);
  }
  convert();
  return new Uint8Array(out.buffer);
}

/**
 * `length` bytes at `begin` as a tensor; those of an f32 that is wanted as f16 come as such.
 * @throws SDError INVALID_FILE as {@link readHalf}; whatever the source throws
 */
export async function readTensor(
  cursor: Cursor,
  { name, dtype, shape }: TensorInfo & { readonly name: string },
  begin: number,
  length: number,
  { halves, onBytes }: ReadOptions,
): Promise<RawTensor> {
  if (dtype !== 'F32' || !halves?.(name))
    return { name, dtype, shape, bytes: await cursor.read(begin, length, onBytes) };
  const bytes = await readHalf(name, cursor.pieces(begin, length), length / 4, onBytes);
  return { name, dtype: 'F16', shape, bytes };
}

export function tooLarge(name: string): SDError {
  return new SDError(
    'INVALID_FILE',
    `${name} holds values beyond 65504, the largest of f16. Load the model with dtype 'f32'.`,
  );
}
