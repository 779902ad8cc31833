import { logf, sincosf } from './avx-math.ts';
import { fma32 } from './float32.ts';
import { elementCount, type Generator } from './generator.ts';
import { MT19937 } from './mt19937.ts';
import { seedBits } from './seed.ts';

const f = Math.fround;
const TWO_PI = f(2 * Math.PI);
const BLOCK = 16;

/**
 * `torch.Generator('cpu').manual_seed(seed)`, bit for bit as torch 2 draws on x86 with AVX2 (ARM
 * builds differ in last bits). Only the low 32 bits of the seed matter.
 * Follows ATen `CPUGeneratorImpl.cpp` and `native/cpu/DistributionTemplates.h`.
 */
export class TorchGenerator implements Generator {
  readonly #engine: MT19937;
  /** The second value of the last small draw's pair; it outlives large draws. */
  #spare: number | undefined;

  /** @throws SDError INVALID_OPTION on a seed of more than 64 bits */
  constructor(seed: number | bigint) {
    this.#engine = new MT19937(Number(seedBits(seed) & 0xffffffffn));
  }

  /** `torch.randn(shape, dtype=float32)`. Under 16 elements torch draws by another method. */
  randn(shape: readonly number[]): Float32Array {
    const count = elementCount(shape);
    if (count < BLOCK) return Float32Array.from({ length: count }, () => this.#normal());
    const out = this.rand(shape);
    for (let i = 0; i + BLOCK <= count; i += BLOCK) boxMuller(out, i);
    if (count % BLOCK !== 0) {
      // ATen redraws the last 16 places, which overlap the block before.
      for (let i = count - BLOCK; i < count; i++) out[i] = this.#uniform();
      boxMuller(out, count - BLOCK);
    }
    return out;
  }

  /** `torch.rand(shape, dtype=float32)`: uniform in [0, 1). */
  rand(shape: readonly number[]): Float32Array {
    return Float32Array.from({ length: elementCount(shape) }, () => this.#uniform());
  }

  /** `torch.empty(shape).uniform_(from, to)`; the bounds are rounded to f32 as ATen does. */
  uniform(shape: readonly number[], from: number, to: number): Float32Array {
    const low = f(from);
    const range = f(f(to) - low);
    return this.rand(shape).map((u) => fma32(u, range, low));
  }

  #uniform(): number {
    return (this.#engine.random32() & 0xffffff) * 2 ** -24;
  }

  /** One standard normal by Box-Muller in f64, two at a time. */
  #normal(): number {
    if (this.#spare !== undefined) {
      const value = this.#spare;
      this.#spare = undefined;
      return value;
    }
    const u1 = this.#uniform64();
    const u2 = this.#uniform64();
    const radius = Math.sqrt(-2 * Math.log1p(-u2));
    const theta = 2 * Math.PI * u1;
    this.#spare = radius * Math.sin(theta);
    return radius * Math.cos(theta);
  }

  #uniform64(): number {
    const high = this.#engine.random32() & 0x1fffff; // 53 bits: 21 of the first word, 32 of the second
    return (high * 2 ** 32 + this.#engine.random32()) * 2 ** -53;
  }
}

/** Turns the 16 uniforms at `start` into normals: the first 8 are radii, the last 8 angles. */
function boxMuller(data: Float32Array, start: number): void {
  for (let j = start; j < start + 8; j++) {
    const radius = f(Math.sqrt(f(-2 * logf(f(1 - data[j])))));
    const [sin, cos] = sincosf(f(TWO_PI * data[j + 8]));
    data[j] = radius * cos;
    data[j + 8] = radius * sin;
  }
}
