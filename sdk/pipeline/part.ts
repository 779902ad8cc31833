import {
  storedAs,
  type Backend,
  type Program,
  type WeightDtype,
  type Weights,
} from '../backends/backend.ts';
import type { Graph, Param } from '../graph/index.ts';
import type { ModelSource, PartName } from './model-source.ts';

/** One part of a model: its weights in the engine, and a program for each shape in use. */
export class Part {
  readonly #backend: Backend;
  readonly #weights: Weights;
  readonly #programs = new Map<string, Program>();
  /** Programs kept: more than one, since prompts and negative prompts may differ in shape. */
  readonly #keep: number;

  private constructor(backend: Backend, weights: Weights, keep: number) {
    this.#backend = backend;
    this.#weights = weights;
    this.#keep = keep;
  }

  /**
   * Streams the weights of a part into the engine.
   * @param onBytes called with the stored size of each tensor as it arrives
   */
  static async load(
    source: ModelSource,
    name: PartName,
    params: ReadonlyMap<string, Param>,
    backend: Backend,
    options: {
      dtype: WeightDtype;
      keep?: number;
      signal?: AbortSignal;
      onBytes?: (count: number) => void;
    },
  ): Promise<Part> {
    const { dtype, keep = 1, signal, onBytes } = options;
    const weights = await backend.createWeights(params.values(), storedAs(dtype));
    try {
      for await (const param of source.weights(name, params, dtype, signal)) {
        signal?.throwIfAborted();
        await weights.set(param);
        onBytes?.(param.data.byteLength);
      }
    } catch (error) {
      weights.dispose();
      throw error;
    }
    weights.keepSource?.(() => source.weights(name, params, dtype));
    return new Part(backend, weights, keep);
  }

  /** The program for the shapes that `key` stands for, compiled when it is new. */
  async program(key: string, trace: () => Graph): Promise<Program> {
    let program = this.#programs.get(key);
    if (program) this.#programs.delete(key);
    else {
      // Before compiling, so that the old arena's memory is free for the new one.
      for (const [oldest, old] of this.#programs) {
        if (this.#programs.size < this.#keep) break;
        this.#programs.delete(oldest);
        old.dispose();
      }
      program = await this.#backend.compile(trace(), this.#weights);
    }
    this.#programs.set(key, program);
    return program;
  }

  dispose(): void {
    for (const program of this.#programs.values()) program.dispose();
    this.#programs.clear();
    this.#weights.dispose();
  }
}
