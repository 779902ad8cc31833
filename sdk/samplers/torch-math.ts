import { bitsOf, ofBits } from './float-bits.ts';
import { f } from './tensor.ts';

/**
 * `torch.log` and `torch.exp` of an f32 on an x86 CPU, last bits included.
 *
 * torch leaves both to MKL, whose rounding is not IEEE's: one logarithm in 16 and one exponential in
 * 100 differ by a bit. DPM++ SDE looks up its noise at times made of them, to 10^-6: a bit there is
 * other noise. Both are the textbook methods, with constants found from torch's outputs: all of a
 * million exponentials agree, and all but one logarithm in 3000. (Which code MKL takes depends on the
 * CPU; this is the one it takes on AMD's and on older ones. Its square root there starts from the
 * CPU's own table, so that torch's σ are one CPU's own to a bit; here they are rounded as IEEE says.)
 */

const TWO_THIRDS = 0x3f2aaaab;
const LN2_HIGH = 0.693145751953125;
const LN2_LOW = f(1.4286067653e-6);
/** Of `p`, from the highest power down. */
const COEFFICIENTS = new Float32Array(
  Int32Array.of(
    0xbe0432b3,
    0x3e0f300d,
    0xbdf976b3,
    0x3e0f6c10,
    0xbe2acf65,
    0x3e4ce80f,
    0xbe7fff76,
    0x3eaaaa83,
    0xbf000000,
  ).buffer,
);

/**
 * log of a non-negative f32; −∞ for 0. The log of the mantissa in ⅔ … 4/3 is `r + r²·p(r)` by Horner,
 * without fused operations; the exponent's share is added in two parts.
 */
export function torchLog(value: number): number {
  if (!(value > 0 && value < Infinity)) return Math.log(value);
  const shifted = bitsOf(value) - TWO_THIRDS;
  const exponent = shifted >> 23;
  const r = f(ofBits((shifted & 0x7fffff) + TWO_THIRDS) - 1);
  let p = COEFFICIENTS[0];
  for (let i = 1; i < COEFFICIENTS.length; i++) p = f(f(p * r) + COEFFICIENTS[i]);
  const ofMantissa = f(f(f(p * r) * r) + r);
  return f(f(ofMantissa + f(exponent * LN2_LOW)) + f(exponent * LN2_HIGH));
}

const PARTS = 128;
const PARTS_PER_LN2 = f(PARTS / Math.LN2);
const PART_HIGH = 0.693359375 / PARTS;
const PART_LOW = f(Math.LN2 / PARTS - PART_HIGH);
/** Where the result is neither 0, ∞ nor subnormal. */
const EXP_RANGE = 87;

/** 2^(i/128), rounded to f32, and what that leaves. */
const POWERS = Array.from({ length: PARTS }, (_, i) => {
  const high = f(2 ** (i / PARTS));
  return { high, low: f(2 ** (i / PARTS) - high) };
});

/**
 * exp of an f32, after Tang, "Table-Driven Implementation of the Exponential Function": the power of
 * 2^(1/128) that is nearest, times `1 + r + r²/2` for the rest.
 */
export function torchExp(value: number): number {
  if (!(Math.abs(value) < EXP_RANGE)) return f(Math.exp(value));
  const parts = Math.round(f(value * PARTS_PER_LN2));
  const { high, low } = POWERS[((parts % PARTS) + PARTS) % PARTS];
  const r = f(f(value - f(parts * PART_HIGH)) - f(parts * PART_LOW));
  const p = f(f(f(r * r) * 0.5) + r);
  return f(f(f(p * high) + low) + high) * 2 ** Math.floor(parts / PARTS);
}
