import type { Pull } from '../backends/backend.ts';
import { rowOf, stack } from './layout.ts';

/**
 * Classifier-free guidance (Ho & Salimans 2022), with several prompts per picture where they are
 * composed (Liu 2022).
 * @param noise predictions of the batch: a negative for each picture, then one for each of `pulls`
 * @param scale 1 is the positive prediction alone
 * @returns per picture `negative + Σ scale·weight·(positive − negative)`, rescaled by `rescale` in 0..1
 */
export function guide(
  noise: Float32Array,
  pictures: number,
  pulls: readonly Pull[],
  scale: number,
  rescale: number,
): Float32Array {
  const guided = compose(noise, pictures, pulls, scale);
  if (rescale === 0) return guided;
  return rescaled(guided, compose(noise, pictures, pulls, 1), pictures, rescale);
}

function compose(
  noise: Float32Array,
  pictures: number,
  pulls: readonly Pull[],
  scale: number,
): Float32Array {
  const size = noise.length / (pictures + pulls.length);
  const out = noise.slice(0, pictures * size);
  pulls.forEach(({ picture, weight }, row) => {
    const s = Math.fround(scale * weight);
    const [at, from] = [picture * size, (pictures + row) * size];
    for (let i = 0; i < size; i++)
      out[at + i] += Math.fround(s * Math.fround(noise[from + i] - noise[at + i]));
  });
  return out;
}

/**
 * Brings the guided prediction back to the spread of the positive one, which keeps strong guidance
 * from burning out (Lin 2023, "Common Diffusion Noise Schedules…", section 3.4).
 */
function rescaled(
  guided: Float32Array,
  positive: Float32Array,
  pictures: number,
  amount: number,
): Float32Array {
  const rows = Array.from({ length: pictures }, (_, i) => {
    const own = rowOf(guided, i, pictures);
    const ratio = deviation(rowOf(positive, i, pictures)) / deviation(own);
    return own.map((x) => amount * (x * ratio) + (1 - amount) * x);
  });
  return stack(rows);
}

/** Standard deviation with n − 1, as `torch.std` has it. */
function deviation(x: Float32Array): number {
  const mean = x.reduce((sum, v) => sum + v, 0) / x.length;
  return Math.sqrt(x.reduce((sum, v) => sum + (v - mean) ** 2, 0) / (x.length - 1));
}

/**
 * The guidance scale as models distilled with it take it (Meng 2023; LCM): sinusoids of
 * `1000·(scale − 1)`, sines first. Follows diffusers' `get_guidance_scale_embedding`.
 * @returns `[dim]`
 */
export function guidanceEmbedding(scale: number, dim: number): Float32Array {
  const half = Math.floor(dim / 2);
  const w = Math.fround(Math.fround(scale - 1) * 1000);
  const step = Math.fround(Math.log(10000) / (half - 1));
  const out = new Float32Array(dim);
  for (let i = 0; i < half; i++) {
    const angle = Math.fround(w * Math.fround(Math.exp(Math.fround(i * -step))));
    out[i] = Math.sin(angle);
    out[half + i] = Math.cos(angle);
  }
  return out;
}
