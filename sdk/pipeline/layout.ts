/**
 * Latents and pictures are NCHW in samplers and generators, as torch draws them, and NHWC in the
 * models. They change order here, at the models' border.
 */

/** `[batch, channels, height, width]` → `[batch, height, width, channels]`. */
export function toNhwc(x: Float32Array, shape: readonly number[]): Float32Array {
  const [batch, channels, height, width] = shape;
  const pixels = height * width;
  const y = new Float32Array(x.length);
  for (let b = 0; b < batch; b++)
    for (let c = 0; c < channels; c++)
      for (let p = 0; p < pixels; p++)
        y[(b * pixels + p) * channels + c] = x[(b * channels + c) * pixels + p];
  return y;
}

/** `[batch, height, width, channels]` → `[batch, channels, height, width]`; the shape is the latter. */
export function toNchw(x: Float32Array, shape: readonly number[]): Float32Array {
  const [batch, channels, height, width] = shape;
  const pixels = height * width;
  const y = new Float32Array(x.length);
  for (let b = 0; b < batch; b++)
    for (let p = 0; p < pixels; p++)
      for (let c = 0; c < channels; c++)
        y[(b * channels + c) * pixels + p] = x[(b * pixels + p) * channels + c];
  return y;
}

/** Arrays one after the other. */
export function stack(arrays: readonly Float32Array[]): Float32Array {
  const out = new Float32Array(arrays.reduce((sum, array) => sum + array.length, 0));
  let at = 0;
  for (const array of arrays) {
    out.set(array, at);
    at += array.length;
  }
  return out;
}

/** Row `i` of `count` equal ones, not copied. */
export function rowOf(x: Float32Array, i: number, count: number): Float32Array {
  const size = x.length / count;
  return x.subarray(i * size, (i + 1) * size);
}

/** Each of `count` rows of `a` with that of `b` behind it. */
export function joinRows(a: Float32Array, b: Float32Array, count: number): Float32Array {
  const rows = Array.from({ length: count }, (_, i) => [rowOf(a, i, count), rowOf(b, i, count)]);
  return stack(rows.flat());
}
