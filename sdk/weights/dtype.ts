import type { WeightDType } from './tensor.ts';

/**
 * Conversions between element types, as torch casts on a CPU: round to nearest even, subnormals
 * kept, overflow to infinity, NaN stays NaN. f64 goes to f16 by way of f32, as torch does it.
 */

interface Float16ArrayConstructor {
  new (values: ArrayLike<number>): ArrayLike<number> & { readonly buffer: ArrayBuffer };
}
/** Chromium 135, Firefox 129, Safari 18.2; not in Node 20. */
const NativeFloat16Array = (globalThis as { Float16Array?: Float16ArrayConstructor }).Float16Array;

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
    default: {
      const table = tableOf(dtype);
      const codes = dtype === 'F16' ? new Uint16Array(aligned(bytes, 2)) : bytes;
      const out = new Uint32Array(codes.length);
      for (let i = 0; i < codes.length; i++) out[i] = table[codes[i]];
      return new Float32Array(out.buffer);
    }
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

/** f32 → bits of f16. */
export function float32ToFloat16(values: Float32Array): Uint16Array<ArrayBuffer> {
  if (NativeFloat16Array) return new Uint16Array(new NativeFloat16Array(values).buffer);
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const out = new Uint16Array(values.length);
  for (let i = 0; i < out.length; i++) out[i] = roundToFloat16(bits[i]);
  return out;
}

/** Bits of f16 → f32. */
export function float16ToFloat32(codes: Uint16Array): Float32Array<ArrayBuffer> {
  const table = tableOf('F16');
  const out = new Uint32Array(codes.length);
  for (let i = 0; i < out.length; i++) out[i] = table[codes[i]];
  return new Float32Array(out.buffer);
}

const scratch = new Float32Array(1);
const scratchBits = new Uint32Array(scratch.buffer);

function roundToFloat16(bits: number): number {
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00;
  if (magnitude >= 0x47800000) return sign | 0x7c00;
  if (magnitude < 0x38800000) {
    // Adding 0.5 aligns the last bit of an f16 subnormal with the last bit of the f32 sum, so the
    // addition itself rounds.
    scratchBits[0] = magnitude;
    scratch[0] += 0.5;
    return sign | (scratchBits[0] - 0x3f000000);
  }
  const odd = (magnitude >>> 13) & 1;
  return sign | ((magnitude - 0x38000000 + 0xfff + odd) >>> 13);
}

function shiftLeft16(codes: Uint16Array): Float32Array<ArrayBuffer> {
  const out = new Uint32Array(codes.length);
  for (let i = 0; i < codes.length; i++) out[i] = codes[i] << 16;
  return new Float32Array(out.buffer);
}

type TabledDType = 'F16' | 'F8_E4M3' | 'F8_E5M2';
const tables = new Map<TabledDType, Uint32Array>();

/** f32 bits of every code of a small type. */
function tableOf(dtype: TabledDType): Uint32Array {
  let table = tables.get(dtype);
  if (!table) {
    const bits = dtype === 'F16' ? 16 : 8;
    const mantissaBits = dtype === 'F16' ? 10 : dtype === 'F8_E5M2' ? 2 : 3;
    const values = new Float32Array(2 ** bits);
    for (let code = 0; code < values.length; code++)
      values[code] = decode(code, bits, mantissaBits, dtype !== 'F8_E4M3');
    table = new Uint32Array(values.buffer);
    tables.set(dtype, table);
  }
  return table;
}

/** F8_E4M3 is torch's float8_e4m3fn: no infinity, and NaN is the largest code alone. */
function decode(code: number, bits: number, mantissaBits: number, ieee: boolean): number {
  const exponentBits = bits - 1 - mantissaBits;
  const bias = 2 ** (exponentBits - 1) - 1;
  const maxExponent = 2 ** exponentBits - 1;
  const sign = code >>> (bits - 1) ? -1 : 1;
  const exponent = (code >>> mantissaBits) & maxExponent;
  const mantissa = code & (2 ** mantissaBits - 1);
  if (exponent === maxExponent) {
    if (ieee) return mantissa === 0 ? sign * Infinity : NaN;
    if (mantissa === 2 ** mantissaBits - 1) return NaN;
  }
  return exponent === 0
    ? sign * mantissa * 2 ** (1 - bias - mantissaBits)
    : sign * (1 + mantissa / 2 ** mantissaBits) * 2 ** (exponent - bias);
}

/** The bytes as a buffer a typed array of `size`-byte elements may lie over, without a copy if so. */
function aligned(bytes: Uint8Array<ArrayBuffer>, size: number): ArrayBuffer {
  const whole = bytes.byteOffset === 0 && bytes.byteLength === bytes.buffer.byteLength;
  if (bytes.byteLength % size !== 0)
    throw new RangeError(`${bytes.byteLength} bytes are no whole number of ${size}-byte elements`);
  return whole ? bytes.buffer : bytes.slice().buffer;
}
