import { SDError } from '../errors.ts';
import { elementCount, type Generator } from './generator.ts';
import { MT19937 } from './mt19937.ts';
import { seedBits } from './seed.ts';

/** `numpy.random.RandomState(seed).randn`, cast to f32: the noise of older ONNX and Keras ports. */
export class NumpyGenerator implements Generator {
  readonly #engine: MT19937;
  #spare: number | undefined;

  /** @throws SDError INVALID_OPTION unless 0 ≤ seed < 2^32, as in NumPy */
  constructor(seed: number | bigint) {
    const word = seedBits(seed);
    if (word >= 2n ** 32n) {
      throw new SDError(
        'INVALID_OPTION',
        `NumPy's generator takes seeds from 0 to 4294967295, but the seed is ${String(seed)}.`,
      );
    }
    this.#engine = new MT19937(Number(word));
  }

  randn(shape: readonly number[]): Float32Array {
    return Float32Array.from({ length: elementCount(shape) }, () => this.normal());
  }

  /** One standard normal in f64, by Marsaglia's polar method as `legacy_gauss` has it. */
  normal(): number {
    if (this.#spare !== undefined) {
      const value = this.#spare;
      this.#spare = undefined;
      return value;
    }
    let x1: number, x2: number, squared: number;
    do {
      x1 = 2 * this.#uniform() - 1;
      x2 = 2 * this.#uniform() - 1;
      squared = x1 * x1 + x2 * x2;
    } while (squared >= 1 || squared === 0);
    const scale = Math.sqrt((-2 * Math.log(squared)) / squared);
    this.#spare = scale * x1;
    return scale * x2;
  }

  #uniform(): number {
    const high = this.#engine.random32() >>> 5;
    const low = this.#engine.random32() >>> 6;
    return (high * 2 ** 26 + low) / 2 ** 53;
  }
}
