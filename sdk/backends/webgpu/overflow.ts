/** Said when results that f16 could not hold are computed again. */
export const OVERFLOWED = 'Half precision overflowed; what overflowed was repeated in float32.';

/** Not finite, or one number all over: a picture all black. */
export function isBroken(values: Float32Array): boolean {
  const [first] = values;
  let isOne = values.length > 1;
  for (const value of values) {
    if (!Number.isFinite(value)) return true;
    isOne &&= value === first;
  }
  return isOne;
}
