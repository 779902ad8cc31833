import type { Tensor } from '../../graph/index.ts';
import { float32ToFloat16, smallToFloat32 } from '../../small-floats.ts';
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
  const { channels } = t;
  const width = 4 * wordsOf(channels);
  const isFloat = layout.storage === 'f32';
  const values = isFloat ? data : float32ToFloat16(data as Float32Array);
  const target = isFloat ? new Float32Array(out.buffer) : new Uint16Array(out.buffer);
  for (let row = 0; row < rowsOf(t); row++)
    target.set(values.subarray(row * channels, (row + 1) * channels), row * width);
  return out;
}

/** The reverse. */
export function decode(bytes: ArrayBuffer, t: Tensor, layout: TensorLayout): Float32Array {
  const { channels } = t;
  const width = 4 * wordsOf(channels);
  const isFloat = layout.storage === 'f32';
  const stored = isFloat ? new Float32Array(bytes) : smallToFloat32(new Uint16Array(bytes), 'F16');
  const out = new Float32Array(t.size);
  for (let row = 0; row < rowsOf(t); row++)
    out.set(stored.subarray(row * width, row * width + channels), row * channels);
  return out;
}
