import { readFileSync } from 'node:fs';
import type { Picture } from '../../sdk/image.ts';
import { toFloat32 } from '../../sdk/weights/dtype.ts';
import { parseHeader } from '../../sdk/weights/safetensors.ts';

// demos/landscapes/judge: a small classifier of what a landscape of 128×128 shows.
const folder = new URL('../../demos/landscapes/judge/', import.meta.url);
const { heads } = JSON.parse(readFileSync(new URL('judge.json', folder), 'utf8')) as {
  heads: readonly { readonly name: string; readonly answers: readonly string[] }[];
};
const file = readFileSync(new URL('judge.safetensors', folder));
const weights = new Map(
  [...parseHeader(file, file.length).tensors].map(([name, { begin, end }]) => [
    name,
    toFloat32(new Uint8Array(file.subarray(begin, end)), 'F16'),
  ]),
);

interface Planes {
  readonly channels: number;
  readonly size: number;
  readonly data: Float32Array;
}

/** 3×3, padding 1, then ReLU. */
function convolve(input: Planes, layer: number, stride: number): Planes {
  const weight = weights.get(`convs.${layer}.weight`)!;
  const bias = weights.get(`convs.${layer}.bias`)!;
  const channels = bias.length;
  const size = input.size / stride;
  const data = new Float32Array(channels * size * size);
  for (let c = 0; c < channels; c++)
    for (let y = 0; y < size; y++)
      for (let x = 0; x < size; x++) {
        let sum = bias[c];
        for (let k = 0; k < input.channels; k++)
          for (let tap = 0; tap < 9; tap++) {
            const row = y * stride + Math.floor(tap / 3) - 1;
            const column = x * stride + (tap % 3) - 1;
            if (row < 0 || column < 0 || row >= input.size || column >= input.size) continue;
            const at = (k * input.size + row) * input.size + column;
            sum += weight[(c * input.channels + k) * 9 + tap] * input.data[at];
          }
        data[(c * size + y) * size + x] = Math.max(0, sum);
      }
  return { channels, size, data };
}

/** What it sees: the answer of each head of judge.json, by its name. */
export function judge({ data }: Picture): Map<string, string> {
  const planes = Float32Array.from({ length: 3 * 128 * 128 }, (_, i) => {
    const pixel = i % (128 * 128);
    return data[4 * pixel + Math.floor(i / (128 * 128))] / 127.5 - 1;
  });
  let seen: Planes = { channels: 3, size: 128, data: planes };
  for (let layer = 0; layer < 5; layer++) seen = convolve(seen, layer, layer < 4 ? 2 : 1);
  const features = Float32Array.from({ length: seen.channels * 8 }, (_, i) => {
    const [c, column] = [i >> 3, i & 7];
    let sum = 0;
    for (let row = 0; row < 8; row++) sum += seen.data[(c * 8 + row) * 8 + column];
    return sum / 8;
  });
  const weight = weights.get('head.weight')!;
  const scores = weights
    .get('head.bias')!
    .map((bias, i) =>
      features.reduce((sum, x, j) => sum + x * weight[i * features.length + j], bias),
    );
  let at = 0;
  return new Map(
    heads.map(({ name, answers }) => {
      const own = scores.subarray(at, (at += answers.length));
      return [name, answers[own.indexOf(Math.max(...own))]];
    }),
  );
}
