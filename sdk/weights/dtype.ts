import { float32ToFloat16, smallToFloat32 } from '../small-floats.ts';
import type { WeightDType } from './tensor.ts';

/**
 * Conversions between element types, as torch casts on a CPU: round to nearest even, subnormals
 * kept, overflow to infinity, NaN stays NaN. f64 goes to f16 by way of f32, as torch does it.
 */

/** Elements as f32; a view of `bytes` where they are f32 already. */
export function toFloat32(
  bytes: Uint8Array<ArrayBuffer>,
  dtype: WeightDType,
): Float32Array<ArrayBuffer> {
  switch (dtype) {
    case 'F32':
      return new Float32Array(aligned(bytes, 4));
    case 'F64':
      return new Float32Array(new Float64Array(aligned(bytes, 8)));
    case 'BF16':
      return shiftLeft16(new Uint16Array(aligned(bytes, 2)));
    case 'F16':
      return smallToFloat32(new Uint16Array(aligned(bytes, 2)), dtype);
    default:
      return smallToFloat32(bytes, dtype);
  }
}

/** Elements as the bits of f16; a view of `bytes` where they are f16 already. */
export function toFloat16(
  bytes: Uint8Array<ArrayBuffer>,
  dtype: WeightDType,
): Uint16Array<ArrayBuffer> {
  if (dtype === 'F16') return new Uint16Array(aligned(bytes, 2));
  return float32ToFloat16(toFloat32(bytes, dtype));
}

function shiftLeft16(codes: Uint16Array): Float32Array<ArrayBuffer> {
  const out = new Uint32Array(codes.length);
  for (let i = 0; i < codes.length; i++) out[i] = codes[i] << 16;
  return new Float32Array(out.buffer);
}

/** The bytes as a buffer a typed array of `size`-byte elements may lie over, without a copy if so. */
function aligned(bytes: Uint8Array<ArrayBuffer>, size: number): ArrayBuffer {
  const whole = bytes.byteOffset === 0 && bytes.byteLength === bytes.buffer.byteLength;
  if (bytes.byteLength % size !== 0)
    throw new RangeError(`${bytes.byteLength} bytes are no whole number of ${size}-byte elements`);
  return whole ? bytes.buffer : bytes.slice().buffer;
}
