const bits = new Int32Array(1);
const float = new Float32Array(bits.buffer);

/** The bits of an f32: sign, 8 of exponent, 23 of mantissa. */
export function bitsOf(value: number): number {
  float[0] = value;
  return bits[0];
}

/** The f32 of these bits. */
export function ofBits(value: number): number {
  bits[0] = value;
  return float[0];
}
