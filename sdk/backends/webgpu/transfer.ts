import type { Tensor } from '../../graph/index.ts';
import { float16Table, toFloat16 } from './float16.ts';
import { rowsOf, wordsOf, type TensorLayout } from './layout.ts';

/** A caller's flat numbers as the arena stores them. */
export function encode(
  data: Float32Array | Int32Array,
  t: Tensor,
  layout: TensorLayout,
): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(layout.bytes(t));
  if (layout.format(t) === 'scalars') {
    out.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    return out;
  }
  const isFloat = layout.storage === 'f32';
  const target = isFloat ? new Float32Array(out.buffer) : new Uint16Array(out.buffer);
  const { channels } = t;
  const width = 4 * wordsOf(channels);
  for (let row = 0; row < rowsOf(t); row++)
    for (let c = 0; c < channels; c++) {
      const value = data[row * channels + c];
      target[row * width + c] = isFloat ? value : toFloat16(value);
    }
  return out;
}

/** The reverse. */
export function decode(bytes: ArrayBuffer, t: Tensor, layout: TensorLayout): Float32Array {
  const out = new Float32Array(t.size);
  const { channels } = t;
  const width = 4 * wordsOf(channels);
  const isFloat = layout.storage === 'f32';
  const source = isFloat ? new Float32Array(bytes) : new Uint16Array(bytes);
  const table = isFloat ? undefined : float16Table();
  for (let row = 0; row < rowsOf(t); row++)
    for (let c = 0; c < channels; c++) {
      const value = source[row * width + c];
      out[row * channels + c] = table ? table[value] : value;
    }
  return out;
}
