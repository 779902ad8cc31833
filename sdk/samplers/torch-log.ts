/**
 * `torch.log` of an f32 on an x86 CPU, last bit included (but for about one value in 5000).
 *
 * torch leaves it to MKL, which rounds one value in 16 otherwise than IEEE would. DPM++ SDE looks up
 * its noise at times made of such logarithms, to 10^-6: a bit there is other noise. The form (log of
 * the mantissa in ⅔ … 4/3 as `r + r²·p(r)` by Horner, no fused operations, then the exponent's share
 * in two parts) and the coefficients were found by fitting torch's output.
 */
const f = Math.fround;
const bits = new Int32Array(1);
const float = new Float32Array(bits.buffer);

const TWO_THIRDS = 0x3f2aaaab;
const LN2_HIGH = 0.693145751953125;
const LN2_LOW = f(1.4286067653e-6);
/** Of `p`, from the highest power down. */
const COEFFICIENTS = new Float32Array(
  Int32Array.of(
    0xbe04333e,
    0x3e0f3078,
    0xbdf976ab,
    0x3e0f6c0d,
    0xbe2acf64,
    0x3e4ce80e,
    0xbe7fff76,
    0x3eaaaa83,
    0xbf000000,
  ).buffer,
);

/** log of a non-negative f32; −∞ for 0. */
export function torchLog(value: number): number {
  if (!(value > 0 && value < Infinity)) return Math.log(value);
  float[0] = value;
  const shifted = bits[0] - TWO_THIRDS;
  const exponent = shifted >> 23;
  bits[0] = (shifted & 0x7fffff) + TWO_THIRDS;
  const r = f(float[0] - 1);
  let p = COEFFICIENTS[0];
  for (let i = 1; i < COEFFICIENTS.length; i++) p = f(f(p * r) + COEFFICIENTS[i]);
  const ofMantissa = f(f(f(p * r) * r) + r);
  return f(f(ofMantissa + f(exponent * LN2_LOW)) + f(exponent * LN2_HIGH));
}
