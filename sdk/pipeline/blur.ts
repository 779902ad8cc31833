/** Box passes that stand for one Gaussian. */
const PASSES = 3;

/**
 * Gaussian blur of 8-bit pixels exactly as Pillow's `GaussianBlur(radius)` does it
 * (libImaging/BoxBlur.c): three box blurs each way, whose fractional radius gives the same variance.
 * @param pixels `[height, width]`
 * @param radius standard deviation in pixels
 */
export function gaussianBlur(
  pixels: Uint8Array,
  width: number,
  height: number,
  radius: number,
): Uint8Array {
  if (radius <= 0) return pixels;
  const box = boxRadius(radius);
  let out = pixels;
  for (let i = 0; i < PASSES; i++) out = boxBlur(out, height, width, 1, width, box);
  for (let i = 0; i < PASSES; i++) out = boxBlur(out, width, height, width, 1, box);
  return out;
}

/** Gwosdek 2011, "Theoretical Foundations of Gaussian Convolution by Extended Box Filtering". */
function boxRadius(radius: number): number {
  const variance = (radius * radius) / PASSES;
  const whole = Math.floor((Math.sqrt(12 * variance + 1) - 1) / 2);
  const part =
    ((2 * whole + 1) * (whole * (whole + 1) - 3 * variance)) / (6 * (variance - (whole + 1) ** 2));
  return Math.fround(whole + part);
}

/** Blurs `lines` lines of `length` pixels, `step` apart, each line `stride` after the one before. */
function boxBlur(
  pixels: Uint8Array,
  lines: number,
  length: number,
  step: number,
  stride: number,
  radius: number,
): Uint8Array {
  const whole = Math.trunc(radius);
  // 24-bit fixed point: the box, and what its two fractional ends weigh.
  const weight = Math.trunc(Math.fround(2 ** 24 / Math.fround(radius * 2 + 1)));
  const ends = Math.trunc((2 ** 24 - (whole * 2 + 1) * weight) / 2);
  const out = new Uint8Array(pixels.length);
  for (let line = 0; line < lines; line++) {
    // Beyond the edges lie copies of the outermost pixels.
    const at = (i: number): number =>
      pixels[line * stride + Math.min(length - 1, Math.max(0, i)) * step];
    let sum = 0;
    for (let i = -whole - 1; i < whole; i++) sum += at(i);
    for (let i = 0; i < length; i++) {
      sum += at(i + whole) - at(i - whole - 1);
      const far = at(i - whole - 1) + at(i + whole + 1);
      out[line * stride + i * step] = Math.floor((sum * weight + far * ends + 2 ** 23) / 2 ** 24);
    }
  }
  return out;
}
