import { SDError } from '../errors.ts';
import { elementCount, type Generator } from './generator.ts';

/**
 * One generator per picture of a batch, as diffusers' `randn_tensor` with a list: each draws its own
 * `[1, …]` slice, so a picture's noise does not depend on the batch around it. A list of one draws
 * the whole batch.
 */
export class ListGenerator implements Generator {
  readonly #generators: readonly Generator[];

  constructor(generators: readonly Generator[]) {
    this.#generators = generators;
  }

  /** @throws SDError INVALID_OPTION unless there is one generator, or `shape[0]` of them */
  randn(shape: readonly number[]): Float32Array {
    const [batch, ...rest] = shape;
    if (this.#generators.length === 1) return this.#generators[0].randn(shape);
    if (this.#generators.length !== batch) {
      throw new SDError(
        'INVALID_OPTION',
        `${this.#generators.length} generators cannot draw a batch of ${batch}: give one, or one for each picture.`,
      );
    }
    const out = new Float32Array(elementCount(shape));
    const size = elementCount(rest);
    this.#generators.forEach((generator, i) => out.set(generator.randn([1, ...rest]), i * size));
    return out;
  }
}
