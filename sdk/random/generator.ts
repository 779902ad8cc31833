/** A source of standard normal noise. Implementations differ in whose noise they reproduce. */
export interface Generator {
  /**
   * Draws one tensor of standard normals, in row-major order.
   * @param shape torch's shape (NCHW for latents). It matters beyond its product: small tensors and
   *   lists of generators draw differently.
   */
  randn(shape: readonly number[]): Float32Array;
}

/** The number of elements of a shape. */
export function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}
