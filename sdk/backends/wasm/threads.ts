import { CONTROL, EPOCH, QUIT } from '../../../wasm/engine/layout.ts';
import type { ThreadStart } from './thread.ts';

/**
 * A thread as the app starts it: a browser `Worker`, or a worker of Node behind the same few methods.
 * Its script passes the first message to `serveThread`.
 */
export interface EngineThread {
  postMessage(message: ThreadStart): void;
  terminate(): unknown;
  addEventListener(type: 'message' | 'error', listener: (event: unknown) => void): void;
}

/** May take its time until the thread's script runs. */
export type SpawnThread = () => EngineThread | Promise<EngineThread>;

/** A thread whose script does not run by then is given up. */
const START_TIMEOUT_MS = 10_000;

/** The helper threads: they sleep in the engine between jobs. The coordinator is not one of them. */
export class ThreadPool {
  readonly #threads: readonly EngineThread[];
  readonly #control: Int32Array;

  private constructor(threads: readonly EngineThread[], control: Int32Array) {
    this.#threads = threads;
    this.#control = control;
  }

  /** Starts one thread per entry; those that do not come up are left out. */
  static async start(spawn: SpawnThread, starts: readonly ThreadStart[]): Promise<ThreadPool> {
    const threads = await Promise.all(starts.map((start) => startThread(spawn, start)));
    const memory = starts[0].memory;
    return new ThreadPool(
      threads.filter((thread) => thread !== undefined),
      new Int32Array(memory.buffer, CONTROL, 128),
    );
  }

  get size(): number {
    return this.#threads.length;
  }

  /** Lets the threads leave the engine, and ends them. */
  dispose(): void {
    Atomics.store(this.#control, QUIT / 4, 1);
    Atomics.add(this.#control, EPOCH / 4, 1);
    Atomics.notify(this.#control, EPOCH / 4);
    for (const thread of this.#threads) thread.terminate();
  }
}

async function startThread(
  spawn: SpawnThread,
  start: ThreadStart,
): Promise<EngineThread | undefined> {
  const spawned = (async () => spawn())();
  let stop = (): void => {};
  const late = new Promise<undefined>((resolve) => {
    const timer = setTimeout(resolve, START_TIMEOUT_MS);
    stop = () => clearTimeout(timer);
  });
  const thread = await Promise.race([spawned, late]).catch(() => undefined);
  stop();
  if (!thread) {
    spawned.then(
      (tooLate) => tooLate.terminate(),
      () => {},
    );
    return undefined;
  }
  // Without a time limit: whoever was told to start may come any moment, and must be counted then.
  return new Promise((resolve) => {
    thread.addEventListener('error', () => {
      thread.terminate();
      resolve(undefined);
    });
    thread.addEventListener('message', () => resolve(thread));
    thread.postMessage(start);
  });
}
