import { SDError } from '../../errors.ts';
import {
  CANCEL,
  CONTROL,
  EPOCH,
  INSTRUCTION,
  JOB_COUNT,
  JOB_PROGRAM,
  JOB_THREADS,
  SCRATCH_BYTES,
} from '../../../wasm/engine/layout.ts';
import { LinearMemory } from './memory.ts';
import { compileEngine, type SimdChoice, type WasmModules } from './module.ts';
import { ThreadPool, type SpawnThread } from './threads.ts';

/** How long the coordinator stays in the engine before it looks at its messages. */
const SLICE_MS = 25;

/** Lets messages and aborts through. */
const macrotask: () => Promise<void> =
  typeof setImmediate === 'function'
    ? () => new Promise((resolve) => setImmediate(resolve))
    : () =>
        new Promise((resolve) => {
          const { port1, port2 } = new MessageChannel();
          port1.onmessage = () => {
            port1.close();
            resolve();
          };
          port2.postMessage(0);
        });

/** A stretch of instructions in linear memory and what each is expected to cost (in flops). */
export interface Walk {
  readonly address: number;
  readonly costs: readonly number[];
}

/** The compiled module, its memory and its threads; walks programs. */
export class Engine {
  readonly memory: LinearMemory;
  readonly threads: number;
  readonly relaxed: boolean;
  readonly #pool: ThreadPool | undefined;
  readonly #scratch: number;
  readonly #enter: (scratch: number) => number;
  #rate = 1e7; // flops per millisecond; learned
  #tail: Promise<unknown> = Promise.resolve();
  #broken: unknown;

  private constructor(
    memory: LinearMemory,
    instance: WebAssembly.Instance,
    relaxed: boolean,
    pool: ThreadPool | undefined,
  ) {
    this.memory = memory;
    this.relaxed = relaxed;
    this.#pool = pool;
    this.threads = 1 + (pool?.size ?? 0);
    this.#scratch = memory.allocate(SCRATCH_BYTES);
    this.#enter = instance.exports.walk as (scratch: number) => number;
  }

  /** `spawn` is needed for more than one thread, and memory that can be shared. */
  static async start(
    modules: WasmModules,
    simd: SimdChoice,
    threads: number,
    spawn: SpawnThread | undefined,
  ): Promise<Engine> {
    const shared = threads > 1 && spawn !== undefined;
    const { module, relaxed } = compileEngine(modules, simd, shared);
    const memory = new LinearMemory(shared);
    const instance = new WebAssembly.Instance(module, { env: { memory: memory.memory } });
    const pool = shared
      ? await ThreadPool.start(
          spawn,
          Array.from({ length: threads - 1 }, () => ({
            module,
            memory: memory.memory,
            scratch: memory.allocate(SCRATCH_BYTES),
            epoch: 0,
          })),
        )
      : undefined;
    return new Engine(memory, instance, relaxed, pool);
  }

  /** Runs `task` when every earlier one is done: the engine does one thing at a time. */
  exclusive<T>(task: () => Promise<T>): Promise<T> {
    const result = this.#tail.then(task);
    this.#tail = result.catch(() => undefined);
    return result;
  }

  /**
   * Walks instructions in slices of some 25 ms.
   *
   * @param check called between slices; the walk ends with what it throws
   */
  async walk({ address, costs }: Walk, check: () => void): Promise<void> {
    for (let from = 0; from < costs.length;) {
      check();
      let to = from;
      let cost = 0;
      while (to < costs.length && (to === from || cost + costs[to] < this.#rate * SLICE_MS))
        cost += costs[to++];
      const start = performance.now();
      this.#walkNow(address + from * INSTRUCTION, to - from);
      const elapsed = performance.now() - start;
      if (elapsed > 1) this.#rate = 0.5 * this.#rate + 0.5 * (cost / elapsed);
      from = to;
      await macrotask();
    }
    check();
  }

  /** Walks instructions one by one. Returns the milliseconds of each, for benchmarks. */
  time({ address, costs }: Walk): number[] {
    return costs.map((_, i) => {
      const start = performance.now();
      this.#walkNow(address + i * INSTRUCTION, 1);
      return performance.now() - start;
    });
  }

  #walkNow(address: number, count: number): void {
    if (this.#broken) throw this.#broken;
    const control = this.memory.integers(CONTROL, 128);
    control[JOB_PROGRAM / 4] = address;
    control[JOB_COUNT / 4] = count;
    control[JOB_THREADS / 4] = this.threads;
    Atomics.store(control, CANCEL / 4, 0);
    if (this.threads > 1) {
      Atomics.add(control, EPOCH / 4, 1);
      Atomics.notify(control, EPOCH / 4);
    }
    try {
      this.#enter(this.#scratch);
    } catch (cause) {
      // The other threads are left at a barrier that nobody will complete.
      this.#broken = new SDError(
        'INTERNAL',
        'The CPU engine trapped. Please report this as a bug.',
        {
          cause,
        },
      );
      throw this.#broken;
    }
  }

  dispose(): void {
    this.#pool?.dispose();
    this.#broken = new SDError('DISPOSED', 'The CPU engine was disposed of.');
  }
}
