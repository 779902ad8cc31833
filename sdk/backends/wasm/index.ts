import type { Graph, Param } from '../../graph/index.ts';
import { SDError } from '../../errors.ts';
import type { Backend, Program, WeightDtypes, Weights } from '../backend.ts';
import { SharedArena } from './arena.ts';
import { Engine } from './engine.ts';
import { canShareMemory, type SimdChoice, type WasmModules } from './module.ts';
import { WasmProgram } from './program.ts';
import type { SpawnThread } from './threads.ts';
import { WasmWeights } from './weights.ts';

export type { WasmModules, SimdChoice } from './module.ts';
export type { EngineThread, SpawnThread } from './threads.ts';

export interface WasmBackendOptions {
  readonly modules: WasmModules;
  /**
   * Threads in all, the caller's own among them. Default: one per core where memory can be shared
   * (in browsers: cross-origin isolated pages), else 1. More than 1 where it cannot be shared is 1.
   */
  readonly threads?: number;
  /** Starts a helper thread whose script calls `serveThread`; without it there is one thread. */
  readonly spawnThread?: SpawnThread;
  /** Which build; default `auto`: relaxed SIMD where there is any. */
  readonly simd?: SimdChoice;
}

/**
 * The CPU engine. The caller's thread computes too and blocks for some 25 ms at a time, so it must
 * be a worker (or Node), never a page's main thread.
 *
 * @throws SDError `INVALID_OPTION`, `BACKEND_UNAVAILABLE`, `OUT_OF_MEMORY`.
 */
export async function createWasmBackend(options: WasmBackendOptions): Promise<Backend> {
  const { modules, spawnThread, simd = 'auto' } = options;
  const wanted = options.threads ?? globalThis.navigator?.hardwareConcurrency ?? 1;
  if (!Number.isInteger(wanted) || wanted < 1)
    throw new SDError('INVALID_OPTION', `threads is ${wanted}; it must be a whole number from 1.`);
  const threads = canShareMemory() ? Math.min(wanted, 64) : 1;
  return new WasmBackend(await Engine.start(modules, simd, threads, spawnThread));
}

class WasmBackend implements Backend {
  readonly name = 'wasm';
  readonly description: string;
  readonly #engine: Engine;
  readonly #arena: SharedArena;

  constructor(engine: Engine) {
    this.#engine = engine;
    this.#arena = new SharedArena(engine.memory);
    const { threads, relaxed } = engine;
    this.description = `WebAssembly, ${relaxed ? 'relaxed' : 'plain'} SIMD, ${threads} thread${threads > 1 ? 's' : ''}`;
  }

  async createWeights(params: Iterable<Param>, dtypes: WeightDtypes): Promise<Weights> {
    // What was disposed of before gives its memory back in turn, and must have done so.
    return this.#engine.exclusive(async () => new WasmWeights(this.#engine.memory, params, dtypes));
  }

  compile(graph: Graph, weights: Weights): Promise<Program> {
    // The arena may move, which must not happen under a running program.
    return this.#engine.exclusive(
      async () => new WasmProgram(this.#engine, this.#arena, graph, weights),
    );
  }

  async dispose(): Promise<void> {
    await this.#engine.exclusive(async () => this.#engine.dispose());
  }
}
