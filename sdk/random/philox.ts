import { elementCount, type Generator } from './generator.ts';
import { seedBits } from './seed.ts';

const f = Math.fround;
const TWO_POW_32_INV = 2 ** -32;
const TWO_POW_32_INV_2PI = f(2 ** -32 * 2 * Math.PI);

/**
 * `torch.Generator('cuda').manual_seed(seed)`: Philox4x32-10 with Box-Muller, which CompVis' scripts
 * and A1111's default seeds mean. Equal to a card's own noise within about 1e-6 (its `logf` and
 * `__sincosf` are not IEEE). Follows cuRAND and ATen `native/cuda/DistributionTemplates.h`; the
 * default agrees with A1111's `rng_philox.py`.
 */
export class PhiloxGenerator implements Generator {
  readonly #key: readonly [number, number];
  readonly #threads: number;
  #offset = 0;

  /**
   * @param threads how many threads the imitated card runs at once (multiprocessors × threads per
   *   multiprocessor, e.g. 270336 on an H100). A tensor with more elements gives each thread several,
   *   so larger pictures differ from card to card. Default: no limit, as A1111's "NV" source.
   * @throws SDError INVALID_OPTION on a seed of more than 64 bits
   */
  constructor(seed: number | bigint, threads = Infinity) {
    const word = seedBits(seed);
    this.#key = [Number(word & 0xffffffffn), Number(word >> 32n)];
    this.#threads = threads;
  }

  randn(shape: readonly number[]): Float32Array {
    const count = elementCount(shape);
    const out = new Float32Array(count);
    const threads = Math.min(this.#threads, Math.ceil(count / 256) * 256);
    for (let i = 0; i < count; i++) {
      // A thread's share: its 4 normals lie `threads` apart, the next 4 come from the next counter.
      const lane = Math.floor(i / threads) % 4;
      const round = Math.floor(i / (threads * 4));
      const words = philox([this.#offset + round, 0, i % threads, 0], this.#key);
      const pair = lane < 2 ? 0 : 2;
      const [sin, cos] = boxMuller(words[pair], words[pair + 1]);
      out[i] = lane % 2 === 0 ? sin : cos;
    }
    this.#offset += Math.max(1, Math.ceil(count / (threads * 4)));
    return out;
  }
}

/** The 4×32 random bits of one counter: ten rounds of Philox. */
export function philox(
  counter: readonly [number, number, number, number],
  key: readonly [number, number],
): [number, number, number, number] {
  let [c0, c1, c2, c3] = counter;
  let [k0, k1] = key;
  for (let round = 0; round < 10; round++) {
    const p0 = BigInt(c0 >>> 0) * 0xd2511f53n;
    const p1 = BigInt(c2 >>> 0) * 0xcd9e8d57n;
    c0 = Number(p1 >> 32n) ^ c1 ^ k0;
    c2 = Number(p0 >> 32n) ^ c3 ^ k1;
    c1 = Number(p1 & 0xffffffffn);
    c3 = Number(p0 & 0xffffffffn);
    k0 = (k0 + 0x9e3779b9) | 0;
    k1 = (k1 + 0xbb67ae85) | 0;
  }
  return [c0 >>> 0, c1 >>> 0, c2 >>> 0, c3 >>> 0];
}

function boxMuller(x: number, y: number): [number, number] {
  const u = f(f(f(x) * TWO_POW_32_INV) + TWO_POW_32_INV / 2);
  const v = f(f(f(y) * TWO_POW_32_INV_2PI) + f(TWO_POW_32_INV_2PI / 2));
  const radius = f(Math.sqrt(f(-2 * f(Math.log(u)))));
  return [f(radius * f(Math.sin(v))), f(radius * f(Math.cos(v)))];
}
