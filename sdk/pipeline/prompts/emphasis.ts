import { SDError } from '../../errors.ts';

/**
 * Applies the weights of one chunk to what the text encoder made of it, in place, and restores the mean
 * (A1111's `sd_emphasis`, "Original"). The mean spans the whole call, so prompts encoded together influence each other
 * there.
 * @param states `[batch, tokens, dim]`, after clip skip and the final norm
 * @param weights `[batch, tokens]`
 * @throws SDError INTERNAL when the sizes do not fit.
 */
export function applyEmphasis(states: Float32Array, weights: ArrayLike<number>): void {
  const dim = states.length / weights.length;
  if (!Number.isInteger(dim)) {
    throw new SDError('INTERNAL', `${weights.length} weights for ${states.length} numbers.`);
  }
  const before = mean(states);
  for (let token = 0; token < weights.length; token++) {
    // torch holds the weights as float32.
    const weight = Math.fround(weights[token]);
    if (weight === 1) continue;
    for (let i = token * dim; i < (token + 1) * dim; i++) states[i] *= weight;
  }
  const ratio = Math.fround(before / mean(states));
  for (let i = 0; i < states.length; i++) states[i] *= ratio;
}

/** torch's mean is float32; summed in double, it is the same but for the last bit. */
function mean(values: Float32Array): number {
  let sum = 0;
  for (const value of values) sum += value;
  return Math.fround(sum / values.length);
}
