const fround = Math.fround;

/**
 * `a·b + c` of three f32 values with one rounding to f32, as the hardware's fused multiply-add.
 *
 * The product of two f32 is exact in f64; the sum is rounded to f64 and then to f32. The second
 * rounding goes wrong only if the first landed on the midpoint between two f32 values, which is put
 * right from the sum's own rounding error (TwoSum).
 */
export function fma32(a: number, b: number, c: number): number {
  const product = a * b;
  const sum = product + c;
  const near = fround(sum);
  const toSum = sum - near;
  const far = sum + toSum;
  if (toSum === 0 || fround(far) !== far) return near;
  const shadow = sum - product;
  const error = product - (sum - shadow) + (c - shadow);
  return error * toSum > 0 ? far : near;
}
