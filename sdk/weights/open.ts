import { SDError } from '../errors.ts';
import { SafetensorsReader } from './safetensors-reader.ts';
import type { ByteSource } from './source.ts';
import type { TensorReader } from './tensor.ts';
import { TorchReader } from './torch/reader.ts';

/**
 * Opens a weight file of any kind, told apart by its first bytes, not by its name.
 * @throws SDError UNSUPPORTED_FORMAT, INVALID_FILE; whatever the source throws.
 */
export async function openTensors(source: ByteSource, signal?: AbortSignal): Promise<TensorReader> {
  const size = await source.size(signal);
  const head = await source.read(0, Math.min(size ?? 16, 16), signal);
  const starts = (...bytes: number[]): boolean => bytes.every((byte, i) => head[i] === byte);
  if (
    starts(0x50, 0x4b, 3, 4) ||
    (head[0] === 0x80 && head[1] >= 2 && head[1] <= 5 && head[8] !== 0x7b)
  )
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
  return SafetensorsReader.open(source, signal);
}
