const N = 624;
const M = 397;
const UPPER = 0x80000000;
const LOWER = 0x7fffffff;
const MATRIX = 0x9908b0df;

/** The Mersenne Twister seeded by one 32-bit word, as torch and NumPy's `RandomState` use it. */
export class MT19937 {
  readonly #state = new Uint32Array(N);
  #next = N;

  /** @param seed taken modulo 2^32 */
  constructor(seed: number) {
    this.#state[0] = seed;
    for (let j = 1; j < N; j++) {
      const previous = this.#state[j - 1];
      this.#state[j] = Math.imul(1812433253, previous ^ (previous >>> 30)) + j;
    }
  }

  /** The next 32 random bits, as an unsigned integer. */
  random32(): number {
    if (this.#next === N) this.#twist();
    let y = this.#state[this.#next++];
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    return (y ^ (y >>> 18)) >>> 0;
  }

  #twist(): void {
    const s = this.#state;
    for (let j = 0; j < N; j++) {
      const y = (s[j] & UPPER) | (s[(j + 1) % N] & LOWER);
      s[j] = s[(j + M) % N] ^ (y >>> 1) ^ (y & 1 ? MATRIX : 0);
    }
    this.#next = 0;
  }
}
