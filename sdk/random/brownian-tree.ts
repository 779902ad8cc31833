import { elementCount } from './generator.ts';
import { generateState } from './seed-sequence.ts';
import { TorchGenerator } from './torch-cpu.ts';

const f = Math.fround;
const POOL_SIZE = 24;
/** How many increments are kept; one not kept is computed again from its parent. */
const CACHE_SIZE = 45;

/** A stretch of time in the tree of halves. */
interface Interval {
  readonly start: number;
  readonly end: number;
  /** Place among all intervals of its depth. */
  readonly key: number;
  readonly depth: number;
  readonly parent?: Interval;
  halves?: readonly [Interval, Interval];
}

/**
 * A Brownian motion of tensors that is the same wherever and in whatever order it is asked: halves
 * of the time are filled in, each from its own seed, down to 10^-6.
 *
 * Equals torchsde's `BrownianInterval(entropy, tol=1e-6, pool_size=24, halfway_tree=True)`, from
 * which k-diffusion and diffusers draw the noise of "DPM++ SDE".
 */
export class BrownianTree {
  readonly #entropy: bigint;
  readonly #shape: readonly number[];
  readonly #root: Interval;
  readonly #rootIncrement: Float32Array;
  readonly #increments = new Map<Interval, Float32Array>();

  /** @param shape of the tensors, without a batch where each picture has a tree of its own */
  constructor(entropy: bigint, shape: readonly number[], t0: number, t1: number) {
    this.#entropy = entropy;
    this.#shape = shape;
    this.#root = { start: micro(t0), end: micro(t1), key: 0, depth: 0 };
    const [seed] = generateState(entropy, 1, POOL_SIZE);
    const scale = f(Math.sqrt(t1 - t0));
    this.#rootIncrement = this.#noise(seed).map((value) => value * scale);
  }

  /** W(b) − W(a) for a ≤ b; times outside the tree count as its ends. */
  increment(a: number, b: number): Float32Array {
    const { start, end } = this.#root;
    const within = (t: number) => micro(Math.min(Math.max(t, start), end));
    const total = new Float32Array(elementCount(this.#shape));
    if (within(a) === within(b)) return total;
    for (const interval of this.#cover(this.#root, within(a), within(b))) {
      const part = this.#incrementOf(interval);
      for (let i = 0; i < total.length; i++) total[i] += part[i];
    }
    return total;
  }

  /** The fewest intervals of the tree that make up [a, b], in order. */
  #cover(interval: Interval, a: number, b: number): Interval[] {
    if (a === interval.start && b === interval.end) return [interval];
    const [left, right] = halvesOf(interval);
    if (b <= left.end) return this.#cover(left, a, b);
    if (a >= right.start) return this.#cover(right, a, b);
    return [...this.#cover(left, a, left.end), ...this.#cover(right, right.start, b)];
  }

  #incrementOf(interval: Interval): Float32Array {
    const { parent } = interval;
    if (!parent) return this.#rootIncrement;
    const known = this.#increments.get(interval);
    if (known) return known;

    // A Brownian bridge: the left half is normal about its share of the whole.
    const whole = this.#incrementOf(parent);
    const [left, right] = halvesOf(parent);
    const leftSpan = left.end - left.start;
    const rightSpan = right.end - right.start;
    const reciprocal = 1 / (parent.end - parent.start);
    const [span, share] = [f(leftSpan), f(reciprocal)];
    const deviation = f(Math.sqrt(leftSpan * rightSpan * reciprocal));
    const [seed] = generateState(this.#entropy, 1, POOL_SIZE, [parent.key, parent.depth]);
    const noise = this.#noise(seed);
    const ofLeft = whole.map((w, i) => f(f(span * w) * share) + f(deviation * noise[i]));
    this.#remember(left, ofLeft);
    this.#remember(
      right,
      whole.map((w, i) => w - ofLeft[i]),
    );
    return this.#increments.get(interval)!;
  }

  #remember(interval: Interval, increment: Float32Array): void {
    if (this.#increments.size >= CACHE_SIZE) {
      const [oldest] = this.#increments.keys();
      this.#increments.delete(oldest);
    }
    this.#increments.set(interval, increment);
  }

  #noise(seed: number): Float32Array {
    return new TorchGenerator(seed).randn(this.#shape);
  }
}

function halvesOf(interval: Interval): readonly [Interval, Interval] {
  const { start, end, key, depth } = interval;
  const middle = micro(0.5 * (end + start));
  const half = { depth: depth + 1, parent: interval };
  return (interval.halves ??= [
    { start, end: middle, key: 2 * key, ...half },
    { start: middle, end, key: 2 * key + 1, ...half },
  ]);
}

/** Python's `round(t, 6)`: decimal, halves (which only multiples of 1/128 have) to even. */
function micro(t: number): number {
  const half = t * 128;
  if (!Number.isInteger(half) || half % 2 === 0) return Number(t.toFixed(6));
  const below = Math.floor(t * 1e6);
  return (below + (below % 2)) / 1e6;
}
