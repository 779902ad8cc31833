/** Conversions of inputs and outputs, which are small; weights arrive as they are stored. */

const bits = new DataView(new ArrayBuffer(4));

/** Rounds to nearest even, as the GPU does. */
export function toFloat16(x: number): number {
  bits.setFloat32(0, x);
  const word = bits.getUint32(0);
  const sign = (word >>> 16) & 0x8000;
  const magnitude = word & 0x7fffffff;
  if (magnitude >= 0x7f800000) return sign | (magnitude > 0x7f800000 ? 0x7e00 : 0x7c00);
  if (magnitude >= 0x47800000) return sign | 0x7c00;
  // Subnormals: adding 0.5 leaves just the ten bits, rounded, at the end of the fraction.
  if (magnitude < 0x38800000) {
    bits.setFloat32(0, Math.abs(x) + 0.5);
    return sign | (bits.getUint32(0) - 0x3f000000);
  }
  const odd = (magnitude >>> 13) & 1;
  return sign | ((magnitude - 0x38000000 + 0xfff + odd) >>> 13);
}

let table: Float32Array | undefined;

/** The value of every pattern of 16 bits. */
export function float16Table(): Float32Array {
  table ??= Float32Array.from({ length: 65536 }, (_, code) => {
    const sign = code & 0x8000 ? -1 : 1;
    const exponent = (code >> 10) & 31;
    const fraction = code & 1023;
    if (exponent === 31) return fraction ? NaN : sign * Infinity;
    return exponent === 0
      ? sign * fraction * 2 ** -24
      : sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
  });
  return table;
}
