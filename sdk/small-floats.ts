/**
 * Floats of 16 and 8 bits, as torch casts them on a CPU: round to nearest even, subnormals kept,
 * overflow to infinity, NaN stays NaN.
 */

interface Float16ArrayConstructor {
  new (values: ArrayLike<number>): ArrayLike<number> & { readonly buffer: ArrayBuffer };
}
/** Chromium 135, Firefox 129, Safari 18.2; not in Node 20. */
const NativeFloat16Array = (globalThis as { Float16Array?: Float16ArrayConstructor }).Float16Array;

/** f32 → bits of f16. */
export function float32ToFloat16(values: Float32Array): Uint16Array<ArrayBuffer> {
  if (NativeFloat16Array) return new Uint16Array(new NativeFloat16Array(values).buffer);
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const out = new Uint16Array(values.length);
  for (let i = 0; i < out.length; i++) out[i] = roundToFloat16(bits[i]);
  return out;
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

type SmallDType = 'F16' | 'F8_E4M3' | 'F8_E5M2';

/** Codes of a small type → f32. */
export function smallToFloat32(
  codes: Uint8Array | Uint16Array,
  dtype: SmallDType,
): Float32Array<ArrayBuffer> {
  const table = tableOf(dtype);
  const out = new Uint32Array(codes.length);
  for (let i = 0; i < out.length; i++) out[i] = table[codes[i]];
  return new Float32Array(out.buffer);
}

const tables = new Map<SmallDType, Uint32Array>();

/** f32 bits of every code of a small type. */
function tableOf(dtype: SmallDType): Uint32Array {
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
