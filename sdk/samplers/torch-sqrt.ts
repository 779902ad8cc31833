/**
 * `torch.sqrt` of an f32 on an x86 CPU, last bit included: 18 values in 100 are rounded otherwise than
 * by IEEE. MKL starts from the CPU's estimate of 1/√x (RSQRTPS) and improves it twice, without fused
 * operations, so that the last bit carries the estimate's table: here that of AMD's Zen 4, on which the
 * reference files were made. All 2^24 mantissas agree with torch there; elsewhere torch's own σ are
 * a bit off these in the same share of places. Walks that look up noise by σ (DPM++ SDE), start at
 * σ = 4096 (zero SNR) or divide by small differences of σ (DEIS, LMS) magnify that bit beyond 10^-5.
 */
const f = Math.fround;
const bits = new Uint32Array(1);
const float = new Float32Array(bits.buffer);

/**
 * How the CPU's estimate differs from 1/√x rounded to 13 bits, −1, 0 or 1 units, for each of 8192
 * intervals from ½ to 2: five to a byte, to the base 3, in base64.
 */
const DEVIATIONS =
  'dnnKec2CzoLpGW1dJV0lcJ3p1pXWns6ClXyVzYJ5eXme6daVzYJ6KHB4lc2CXiVwgnp5eYJ5lJfN09OeRHBwXV55JSh5cHh4XnZ2KHBwcF3W1oODg5WUlHl2diVtmJh8fHklnZ6VlJR6aFteeHmCys2XlyZ2W3l4ecp5fJR6g9PNl5eD1NOXl5XU03yXlYPTfJd5gnl5eXgfeVt4eXrUl3x5yihbeJR51HxbeXl605deb3mCeXnvl9R8dnl5enl51pfUKFsedh55ynl5edSX1JfUl9SX1JfUl9SX1JfUl9SXg3l5eXl5eXl5Hltv1JfUeXl5eShbk9SXeXl5edSX1HZ5ys2X1GJ5eXyX1IJ4KHaUesrNl9RfeR95fHl503yUntTNcB9bXnkfeXl5eHl5dpR5edPT6JeVg9TNl5d6g9N8l5R6gsp5eXl5cB951NTWfJeUenl5eXZbys2Xl3l6eR8oJYLTynl2ecrNzXx5eXmXl5d5eHiUlZV6cHBwenp6l5eXeXh4k5R5ys3NfFtbW3koKIKCeZSVlHleeXl5ynmCeXqVlHzNytOCg5WVl83N04KDlZWXzcqCgnqVeXzKeXl5eXl2KHBwXcmDnpWUzdN5eZReJXmU6NaDgpV8dnl5b10leZXNKHB5yoKVmHl5eXBdJXl5zShwXXZ5lXwlcF15eXnWnul8eXnKgpV8JXBdeXl5gpXNKHBddnl5eZXNgnBdJXl5eZTNecqClc2e6dZwXSVwXXZeJXB5eV55eXmCenmUzXnKgpV5lc2CzYKVgpXNlM2Cy4KVeZXNec2CeYJ6eZR5eXlwDHDJldaVzZ3NgsqCeXl5eV15XSVdds2dzYLKeXlweXAMcHiVgpV5eXledl2UzZV8eXleJV52zZR8eXZenc2VfHl5XiVdbXyUeV52XZR8enldcHiVgnlwJ3CCynkoVSXJeXnKlYWVdnh5ecuUDXB2eHl5y5SCfW0nXnl5lIJ85ihdcHZ4eXnKlILN5p1ecHYneXl5eYJ8y5SFVW0kXnB2J3l5eXl5ecuUgnzLnYXO5igMVW0nXnB2J15wdideeXl5eXl5eXl5eXl5eXl5AVF5BAB5DQB4eXnu8nnleQFReXl5fXl58aEBdXl5bXl5eXl5eXl5eXh5eXV5DWx5eMp9eaDKhnV5eeV68VJ5dXl5lHmFynrueYblffHKfe55huV5hcp5eSh5bQ14ynqCeXlteaDKeXl8gp3u5W1wXl55eXl5enl8fIKCgnmUlHl5eSgoKCiToKCdgoJ5eXBVzct6eXkoeIV8eXbLlJSFzlN2Jw15eXl4eXl2eXlweXleeXkoeXkoXXDHgs7meXzLXnkogumdfMp5yp3OlV1tXXl5eZWFlWp2XXZ5dnnKecqCy4KVhZXNnc2C5oKVzZTNgnp5lHx5eXlddumClc15eXBdecqCnn15lHzN0555eXmUzdZeJXlweZR5zdOCnpXpcF1edih5cHl5eXl5eXl5eXl5eZSX6c3T1oJ6g5V5lHkoeSiUl+nNys15cHlwzejNecp5lJeYfHl8dpWeel55XoHTeeWXmHyUeXrU082XmJ53Xnl4eXl2eXl5ynl5eXqCeXx5eYJ5eXl5cHl2XngfJdPWl5SD03mUecGX1PJ5lNRweXnTl9SFeXnUl9TyeXnTl9TofXl5l9SXg3h5eXl51JfUl194eXl5eXmU1Jd5eXl5eXl51JfUl9SX1JfUl9SX1JfUl9SX1JfUl9SX1JeDeXl5eXl5eeXy15fUl9SX1Hl5ypd6eXnKl/KGedOXKHZ5082Xenl6ypehg3nTeZfv1Hl5eZSD1HwfeXl503yX79R5cHleeCh5lHnTypeV1NfoIHleeXl5eZR5gsqXlHrUypeXg9TWl5ee1Nbol57U1M2XmIPU03x8eYJ5dnl5b3Ao09TXl5eYeoLTeXmUeW9wKILU1Hx8l3l4eXCentTKynxeXnmTl5d6eXl5g4OeeXnK09PTfXl5zc3NhV5eeZeX6Hl4eJSUlOjNzYVeXnl8fM3W09N6dnZ5eXmCg3qVcHBveHleeXx8ytOCgp6VlenozdbX1HooKHB5eHh5eXZ5eXB5eXl5fHl5eXl4eXl2eXlwlHzNyoJ5epR5eXl5eXhedp2h6ejW04OVlXzKeXl5XnmdmOnN1oJ6lXl5eXB41oOVlXx5eQ==';

let estimates: Float32Array | undefined;

/** 1/√x of each interval, as RSQRTPS gives it. */
function estimatesOf(): Float32Array {
  const packed = atob(DEVIATIONS);
  return Float32Array.from({ length: 8192 }, (_, i) => {
    bits[0] = (126 << 23) + (i << 11) + 1024;
    const exact = 1 / Math.sqrt(float[0]);
    const unit = exact > 1 ? 2 ** -12 : 2 ** -13;
    const deviation = (Math.floor(packed.charCodeAt(Math.floor(i / 5)) / 3 ** (i % 5)) % 3) - 1;
    return (Math.round(exact / unit) + deviation) * unit;
  });
}

/** √ of a non-negative f32. */
export function torchSqrt(value: number): number {
  if (!(value > 2 ** -120 && value < Infinity)) return f(Math.sqrt(value));
  estimates ??= estimatesOf();
  float[0] = value;
  const exponent = bits[0] >>> 23;
  const odd = exponent & 1;
  const x = value * 2 ** (126 + odd - exponent); // ½ … 2
  const estimate = estimates[(odd << 12) | ((bits[0] & 0x7fffff) >>> 11)];
  const root = f(x * estimate);
  const half = f(0.5 * estimate);
  const rest = f(0.5 - f(root * half));
  const better = f(root + f(root * rest));
  const betterHalf = f(half + f(half * rest));
  const error = f(x - f(better * better));
  return f(better + f(error * betterHalf)) * 2 ** ((exponent - 126 - odd) / 2);
}
