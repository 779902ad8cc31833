import { SDError } from '../errors.ts';
import type { ByteSource } from '../weights/source.ts';
import type { TensorReader } from '../weights/tensor.ts';
import { TorchReader } from './torch/reader.ts';

/**
 * Opens a weight file that is not safetensors.
 * @param head its first bytes, at most 16.
 * @returns undefined where it is of no kind that is known.
 * @throws SDError UNSUPPORTED_FORMAT, INVALID_FILE; whatever the source throws.
 */
export async function openForeign(
  source: ByteSource,
  head: Uint8Array,
  signal?: AbortSignal,
): Promise<TensorReader | undefined> {
  const starts = (...bytes: number[]): boolean => bytes.every((byte, i) => head[i] === byte);
  if (starts(0x50, 0x4b, 3, 4) || (head[0] === 0x80 && head[1] >= 2 && head[1] <= 5))
    return TorchReader.open(source, signal);
  if (starts(0x47, 0x47, 0x55, 0x46))
    throw new SDError(
      'UNSUPPORTED_FORMAT',
      `${source.name} is a GGUF file, which is not read here. Load the safetensors file it was made from.`,
    );
  if (starts(0x3c) || starts(0x0a, 0x3c))
    throw new SDError('INVALID_FILE', `${source.name} is a web page, not a weight file.`);
  if (starts(...new TextEncoder().encode('version https://')))
    throw new SDError(
      'INVALID_FILE',
      `${source.name} is a Git LFS pointer, not the file itself. Fetch the file with git lfs pull.`,
    );
  return undefined;
}
