import { bitsOf, ofBits } from './float-bits.ts';
import { f } from './tensor.ts';

/**
 * `torch.sqrt` of an f32 on an x86 CPU, last bit included: 18 values in 100 are rounded otherwise than
 * by IEEE. MKL starts from the CPU's estimate of 1/√x (RSQRTPS) and improves it twice, without fused
 * operations, so that the last bit carries the estimate's table: here that of AMD's Zen 4, on which the
 * reference files were made. All 2^24 mantissas agree with torch there; elsewhere torch's own σ are
 * a bit off these in the same share of places. Walks that look up noise by σ (DPM++ SDE), start at
 * σ = 4096 (zero SNR) or divide by small differences of σ (DEIS, LMS) magnify that bit beyond 10^-5.
 */

/*
 * The CPU's table gives a 13-bit estimate for each of 8192 intervals from ½ to 2. It is made of two: a value
 * at the begin of each 16 intervals, and how far the 15 others lie below it, which is the same for all
 * sixteens in a stretch of 256.
 */

/** How each value differs from 1/√x rounded: 0, 1 or 2 for −1, 0 or 1 unit. */
const VALUES =
  '1110011111211111111011111111111110110111111111111111111112111111111111111111111112111121' +
  '1121111111111111111111111111111111111111111111111111110111111101111111111211111111111121' +
  '1111222222222221011111011101111101111011111111111111111111111111111111211111111100011011' +
  '1111111111111111111111111111111111211211110111111121121201101111111111111111111112111111' +
  '1111111111111111111011111111011121121212121121111111111111111211111111111111111111221111' +
  '222222221101111011111111111111111211211111111221111111111111011111111111';

/** For each stretch four hexadecimal digits: bit i is set where interval i lies one unit below i − 1. */
const FALLS =
  'b6da6dac56acaaac555495524a94529429284924492444922448244844444444fefeefeebef6bbb6b6ecdada' +
  'b6ac6ad4aaaa5554aa54954a54a4929494a44948';

let estimates: Float32Array | undefined;

/** 1/√x of each interval, as RSQRTPS gives it. */
function estimatesOf(): Float32Array {
  const table = new Float32Array(8192);
  for (let i = 0; i < 8192; i++) {
    const unit = i < 4096 ? 2 ** -12 : 2 ** -13;
    if (i % 16 === 0) {
      const middle = ofBits((126 << 23) + (i << 11) + 1024);
      table[i] = (Math.round(1 / Math.sqrt(middle) / unit) + Number(VALUES[i >> 4]) - 1) * unit;
    } else {
      const falls = parseInt(FALLS.slice((i >> 8) * 4, (i >> 8) * 4 + 4), 16);
      table[i] = table[i - 1] - ((falls >> (i % 16)) & 1) * unit;
    }
  }
  return table;
}

/** √ of a non-negative f32. */
export function torchSqrt(value: number): number {
  if (!(value > 2 ** -120 && value < Infinity)) return f(Math.sqrt(value));
  estimates ??= estimatesOf();
  const bits = bitsOf(value);
  const exponent = bits >> 23;
  const odd = exponent & 1;
  const x = value * 2 ** (126 + odd - exponent); // ½ … 2
  const estimate = estimates[(odd << 12) | ((bits & 0x7fffff) >> 11)];
  const root = f(x * estimate);
  const half = f(0.5 * estimate);
  const rest = f(0.5 - f(root * half));
  const better = f(root + f(root * rest));
  const betterHalf = f(half + f(half * rest));
  const error = f(x - f(better * better));
  return f(better + f(error * betterHalf)) * 2 ** ((exponent - 126 - odd) / 2);
}
