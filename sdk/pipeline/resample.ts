/** Bits of the fixed-point coefficients: what is left of 32 for 8-bit pixels and two of headroom. */
const PRECISION = 32 - 8 - 2;

/** Lanczos' kernel reaches so far. */
const REACH = 3;

const sinc = (x: number): number => (x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x));

const lanczos = (x: number): number => (x >= -REACH && x < REACH ? sinc(x) * sinc(x / REACH) : 0);

/**
 * Resizes 8-bit pixels by Lanczos exactly as Pillow (to version 12) does, libImaging/Resample.c: two passes,
 * coefficients in 22-bit fixed point, the support widened when shrinking. A canvas does not give
 * these bytes, and image-to-image from other bytes is another picture.
 * @param pixels `[height, width, channels]`
 */
export function resize(
  pixels: Uint8Array,
  channels: number,
  width: number,
  height: number,
  newWidth: number,
  newHeight: number,
): Uint8Array {
  let out = pixels;
  if (newWidth !== width) out = pass(out, height, width, newWidth, channels);
  if (newHeight === height) return out;
  // The vertical pass is the horizontal one on rows seen as pixels of newWidth·channels values.
  return pass(out, 1, height, newHeight, newWidth * channels);
}

/** Resizes the middle axis of `[outer, size, inner]`. */
function pass(
  pixels: Uint8Array,
  outer: number,
  size: number,
  newSize: number,
  inner: number,
): Uint8Array {
  const { starts, counts, weights, width } = coefficients(size, newSize);
  const out = new Uint8Array(outer * newSize * inner);
  for (let o = 0; o < outer; o++)
    for (let x = 0; x < newSize; x++)
      for (let i = 0; i < inner; i++) {
        let sum = 1 << (PRECISION - 1);
        const from = (o * size + starts[x]) * inner + i;
        for (let k = 0; k < counts[x]; k++)
          sum += pixels[from + k * inner] * weights[x * width + k];
        out[(o * newSize + x) * inner + i] = Math.min(255, Math.max(0, sum >> PRECISION));
      }
  return out;
}

function coefficients(size: number, newSize: number) {
  const scale = size / newSize;
  const stretch = Math.max(scale, 1);
  const support = REACH * stretch;
  const width = Math.ceil(support) * 2 + 1;
  const starts = new Int32Array(newSize);
  const counts = new Int32Array(newSize);
  const weights = new Int32Array(newSize * width);
  for (let x = 0; x < newSize; x++) {
    const center = (x + 0.5) * scale;
    const start = Math.max(0, Math.trunc(center - support + 0.5));
    const end = Math.min(size, Math.trunc(center + support + 0.5));
    const row = Array.from({ length: end - start }, (_, k) =>
      lanczos((k + start - center + 0.5) * (1 / stretch)),
    );
    const sum = row.reduce((total, w) => total + w, 0);
    starts[x] = start;
    counts[x] = end - start;
    row.forEach((w, k) => {
      const fixed = (sum === 0 ? w : w / sum) * (1 << PRECISION);
      weights[x * width + k] = Math.trunc(fixed < 0 ? fixed - 0.5 : fixed + 0.5);
    });
  }
  return { starts, counts, weights, width };
}
