import type { LoadFormats } from './formats.ts';
import { SafetensorsReader } from './safetensors-reader.ts';
import type { ByteSource } from './source.ts';
import type { TensorReader } from './tensor.ts';

/** Of a safetensors file, from byte 4 on: the upper half of its header's length, and the header's `{`. */
const SAFETENSORS = '0,0,0,0,123';

/**
 * Opens a weight file of any kind, told apart by its first bytes, not by its name.
 * @throws SDError UNSUPPORTED_FORMAT, INVALID_FILE; whatever the source and `formats` throw.
 */
export async function openTensors(
  source: ByteSource,
  formats: LoadFormats,
  signal?: AbortSignal,
): Promise<TensorReader> {
  const size = await source.size(signal);
  const head = await source.read(0, Math.min(size ?? 16, 16), signal);
  const foreign =
    String(head.subarray(4, 9)) === SAFETENSORS
      ? undefined
      : await (await formats(signal)).openForeign(source, head, signal);
  // What nobody knows is told by what is wrong with it as safetensors.
  return foreign ?? SafetensorsReader.open(source, signal);
}
