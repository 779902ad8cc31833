import { SDError } from '../errors.ts';

/**
 * A seed as 64 unsigned bits; negative seeds wrap, as torch's `manual_seed` has it.
 * @throws SDError INVALID_OPTION unless an integer in −2^63 … 2^64−1 (a number: up to ±2^53−1)
 */
export function seedBits(seed: number | bigint): bigint {
  const exact = typeof seed === 'bigint' || Number.isSafeInteger(seed);
  const value = exact ? BigInt(seed) : 0n;
  if (!exact || value < -(2n ** 63n) || value >= 2n ** 64n) {
    throw new SDError(
      'INVALID_OPTION',
      `The seed must be an integer of at most 64 bits, but is ${String(seed)}. Give seeds above 2^53 as a bigint.`,
    );
  }
  return BigInt.asUintN(64, value);
}
