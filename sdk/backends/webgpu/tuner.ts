import { Graph } from '../../graph/index.ts';
import type { Device } from './device.ts';
import { Pace } from './pace.ts';
import type { Pipelines } from './pipelines.ts';
import { WebGPUProgram } from './program.ts';
import { Stopwatch } from './stopwatch.ts';
import {
  blocksOf,
  fits,
  groupsOf,
  guess,
  splitsOf,
  TILE_NAMES,
  TILES,
  type Choice,
  type Product,
} from './tiles.ts';
import { WebGPUWeights } from './weights.ts';

/** Keeps measurements between visits, say in IndexedDB. Values are plain data. */
export interface TuningStore {
  get(key: string): Promise<unknown>;
  set(key: string, value: unknown): Promise<void>;
}

export interface Tuning {
  /** FLOP per millisecond of a large product. */
  readonly speed: number;
  readonly choices: Readonly<Record<string, Choice>>;
}

/** Time that measuring may take at first load, in ms. */
const TIME = 2000;
/** Products smaller than this are not worth measuring. */
const LEAST_FLOPS = 1e8;
/** What another tile must gain over the guess: clocks are coarse. */
const GAIN = 0.9;
/** A measurement should take as many ms, so that clocks which tick every 100 µs can tell a gain. */
const LONG_ENOUGH = 5;
const MOST_REPEATS = 64;
/** What a pass between two ticks of a clock counts as, in ms. */
const LEAST_TIME = 0.02;
/** Work of one probe: a larger product is measured by its first rows. */
const PROBE_FLOPS = 4e9;

/** Products that behave alike: rows in powers of two, depth and columns exactly. */
export function keyOf({ rows, words, channels, taps, geglu }: Product): string {
  return `${2 ** Math.ceil(Math.log2(rows))}x${words}x${channels * taps}${geglu ? 'g' : ''}`;
}

/** Measures the tiles of gemm.wgsl on this device for the shapes of a model. */
export class Tuner {
  readonly #device: Device;
  readonly #pipelines: Pipelines;
  readonly #store: TuningStore | undefined;
  readonly #key: string;
  readonly #leastFlops: number;
  #speed: number | undefined;
  #choices: Record<string, Choice> = {};
  #left = TIME;
  #loaded = false;

  /** @param build names these kernels: what was measured with others says nothing */
  constructor(
    device: Device,
    pipelines: Pipelines,
    build: string,
    options: { store?: TuningStore; leastFlops?: number } = {},
  ) {
    this.#device = device;
    this.#pipelines = pipelines;
    this.#store = options.store;
    this.#leastFlops = options.leastFlops ?? LEAST_FLOPS;
    this.#key = `stable-diffusion-web/tuning/${device.description}/${build}`;
  }

  /** FLOP per millisecond, or undefined before anything was measured. */
  get speed(): number | undefined {
    return this.#speed;
  }

  choose(product: Product): Choice {
    return this.#choices[keyOf(product)] ?? guess(product);
  }

  /** Measures what is not known yet, the most work first, while there is time. */
  async prepare(products: readonly Product[]): Promise<void> {
    await this.#load();
    const open = new Map<string, { product: Product; flops: number }>();
    for (const product of products) {
      const key = keyOf(product);
      const flops = flopsOf(product);
      if (this.#choices[key] || flops < this.#leastFlops) continue;
      const known = open.get(key);
      open.set(key, { product, flops: flops + (known?.flops ?? 0) });
    }
    const order = [...open].sort(([, a], [, b]) => b.flops - a.flops);
    if (order.length === 0) return;
    const begin = performance.now();
    const stopwatch = new Stopwatch(this.#device);
    try {
      for (const [key, { product }] of order) {
        if (performance.now() - begin > this.#left) break;
        this.#choices[key] = await this.#measure(product, stopwatch);
      }
    } finally {
      stopwatch.dispose();
    }
    this.#left -= performance.now() - begin;
    const tuning: Tuning = { speed: this.#speed!, choices: this.#choices };
    // Without storage (private windows) every visit measures; that is all.
    await this.#store?.set(this.#key, tuning).catch(() => {});
  }

  async #load(): Promise<void> {
    if (this.#loaded) return;
    this.#loaded = true;
    const known = await this.#store?.get(this.#key).catch(() => undefined);
    if (!isTuning(known)) return;
    this.#speed = known.speed;
    this.#choices = { ...known.choices };
  }

  async #measure(product: Product, stopwatch: Stopwatch): Promise<Choice> {
    const flopsPerRow = flopsOf(product) / product.rows;
    const rows = Math.max(1, Math.min(product.rows, Math.ceil(PROBE_FLOPS / flopsPerRow)));
    const probe = { ...product, rows };
    let best = guess(product);
    let least = await this.#time(probe, best, stopwatch);
    const usual = least;
    for (const choice of candidates(product)) {
      if (choice.tile === best.tile && choice.splits === best.splits) continue;
      const ms = await this.#time(probe, choice, stopwatch);
      if (ms < least && ms < GAIN * usual) [best, least] = [choice, ms];
    }
    this.#speed = Math.max(this.#speed ?? 0, flopsOf(probe) / least);
    return best;
  }

  /** Milliseconds of one run: the best of three, each long enough to measure. */
  async #time(product: Product, choice: Choice, stopwatch: Stopwatch): Promise<number> {
    const graph = new Graph();
    const inner = product.channels * product.taps;
    const x = graph.input('x', [1, product.rows, inner]);
    graph.output('y', graph.root.linear('l', x, 4 * product.words, { bias: false }));
    const weights = await WebGPUWeights.create(this.#device, graph.params.values(), 'f16');
    const program = await WebGPUProgram.compile(
      this.#device,
      this.#pipelines,
      new Pace(this.#device, Infinity),
      graph,
      weights,
      { norm: 'loader', maxFlops: Infinity, headWords: 1, choose: () => choice },
    );
    const run = async (times: number): Promise<number> => {
      const ms = await stopwatch.time((pass) => {
        for (let i = 0; i < times; i++) program.encode(pass);
      });
      return Math.max(ms, LEAST_TIME) / times;
    };
    // The first run compiles what drivers put off.
    let ms = await run(1);
    const times = Math.max(1, Math.min(MOST_REPEATS, Math.ceil(LONG_ENOUGH / ms)));
    for (let i = 0; i < 2; i++) ms = Math.min(ms, await run(times));
    program.dispose();
    weights.dispose();
    return ms;
  }
}

function flopsOf({ rows, words, channels, taps }: Product): number {
  return 2 * rows * 4 * words * channels * taps;
}

/** Tiles worth trying, each whole and, where it leaves the device empty, split. */
function candidates(product: Product): Choice[] {
  return TILE_NAMES.flatMap((tile) => {
    const wasteful = TILES[tile].rows > 2 * product.rows || TILES[tile].words > 2 * product.words;
    const tiny = TILES[tile].words * 8 < product.words && TILES[tile].words < 4;
    if (!fits(tile, product.geglu) || wasteful || tiny) return [];
    const splits = splitsOf(product, tile);
    const whole: Choice[] = [{ tile, splits: 1 }];
    const canSplit = splits > 1 && blocksOf(product, TILES[tile]) > 1;
    const isEmpty = groupsOf(product, TILES[tile]) < 128;
    return canSplit && isEmpty ? [...whole, { tile, splits }] : whole;
  });
}

function isTuning(value: unknown): value is Tuning {
  const tuning = value as Partial<Tuning> | undefined;
  return (
    typeof tuning?.speed === 'number' &&
    tuning.speed > 0 &&
    typeof tuning.choices === 'object' &&
    Object.values(tuning.choices ?? {}).every(
      ({ tile, splits }) => tile in TILES && Number.isInteger(splits) && splits >= 1,
    )
  );
}
