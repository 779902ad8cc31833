import type { LinearMemory } from './memory.ts';

/**
 * One stretch of memory for the activations of all programs of an engine: they never run at once, so
 * it is as large as the largest needs. A program that finds the arena used by another since its last
 * run starts over with its `once` part.
 */
export class SharedArena {
  readonly #memory: LinearMemory;
  readonly #needs = new Map<symbol, number>();
  #address = 0;
  #bytes = 0;
  #owner: object | undefined;

  constructor(memory: LinearMemory) {
    this.#memory = memory;
  }

  /** Makes room for a program; call the result when the program is gone. */
  require(bytes: number): () => void {
    const key = Symbol();
    if (bytes > this.#bytes) this.#resize(bytes);
    this.#needs.set(key, bytes);
    return () => {
      this.#needs.delete(key);
      if (this.#needs.size === 0) this.#resize(0);
    };
  }

  /** Where the arena is, and whether anything that `owner` left in it is lost. */
  claim(owner: object): { address: number; taken: boolean } {
    const taken = this.#owner !== owner;
    this.#owner = owner;
    return { address: this.#address, taken };
  }

  #resize(bytes: number): void {
    const before = this.#bytes;
    if (before > 0) this.#memory.free(this.#address, before);
    this.#bytes = 0;
    this.#owner = undefined;
    try {
      if (bytes > 0) this.#address = this.#memory.allocate(bytes);
      this.#bytes = bytes;
    } catch (error) {
      if (before > 0) this.#address = this.#memory.allocate(before);
      this.#bytes = before;
      throw error;
    }
  }
}
