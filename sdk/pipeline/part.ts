import {
  storedAs,
  type Backend,
  type PackedParam,
  type Program,
  type WeightDtype,
  type Weights,
} from '../backends/backend.ts';
import type { Graph, Param } from '../graph/index.ts';
import type { ModelSource, PartName } from './model-source.ts';

/** Which parts of a model hold their weights in the engine: all, or only the one in use. */
export class Residence {
  readonly #oneAtATime: boolean;
  #latest: Part | undefined;

  constructor(oneAtATime: boolean) {
    this.#oneAtATime = oneAtATime;
  }

  /** Makes room for a part's weights. */
  enter(part: Part): void {
    if (this.#oneAtATime && this.#latest !== part) this.#latest?.dispose();
    this.#latest = part;
  }
}

export interface PartOptions {
  readonly dtype: WeightDtype;
  /** Default: all parts stay. */
  readonly residence?: Residence;
  readonly signal?: AbortSignal;
  /** Called with the stored size of each tensor as it arrives. */
  readonly onBytes?: (count: number) => void;
}

type Stream = (signal?: AbortSignal, names?: ReadonlySet<string>) => AsyncIterable<PackedParam>;

/** One part of a model: its weights in the engine, and a program for each shape in use. */
export class Part {
  /** All its parameters by name. */
  readonly params: ReadonlyMap<string, Param>;
  readonly #backend: Backend;
  readonly #dtype: WeightDtype;
  readonly #residence: Residence;
  readonly #source: Stream;
  readonly #programs = new Map<string, Program>();
  /** Programs kept: more than one, since prompts and negative prompts may differ in shape. */
  readonly #keep: number;
  /** Nothing while another part has its place. */
  #weights: Weights | undefined;

  private constructor(
    params: ReadonlyMap<string, Param>,
    backend: Backend,
    source: Stream,
    keep: number,
    { dtype, residence = new Residence(false) }: PartOptions,
  ) {
    this.params = params;
    this.#backend = backend;
    this.#dtype = dtype;
    this.#residence = residence;
    this.#source = source;
    this.#keep = keep;
  }

  /** Streams the weights of a part into the engine. */
  static async load(
    source: ModelSource,
    name: PartName,
    params: ReadonlyMap<string, Param>,
    backend: Backend,
    options: PartOptions & { readonly keep?: number },
  ): Promise<Part> {
    const { dtype, keep = 1, signal, onBytes } = options;
    const stream: Stream = (during, names) => source.weights(name, params, dtype, during, names);
    const part = new Part(params, backend, stream, keep, options);
    await part.#fill(signal, onBytes);
    return part;
  }

  /** The weights, read again where another part has had their place. */
  async #fill(signal?: AbortSignal, onBytes?: (count: number) => void): Promise<Weights> {
    if (this.#weights) return this.#weights;
    this.#residence.enter(this);
    const weights = await this.#backend.createWeights(this.params.values(), storedAs(this.#dtype));
    try {
      for await (const param of this.#source(signal)) {
        signal?.throwIfAborted();
        await weights.set(param);
        onBytes?.(param.data.byteLength);
      }
    } catch (error) {
      weights.dispose();
      throw error;
    }
    weights.keepSource?.(this.#source);
    this.#weights = weights;
    return weights;
  }

  /**
   * Asks the source for some parameters again and puts them in the place of the old ones. Programs are
   * compiled anew: what they computed once per prompt came of the old weights.
   */
  async reload(names: ReadonlySet<string>): Promise<void> {
    // A part that is not there reads what is new when its turn comes.
    if (names.size === 0 || !this.#weights) return;
    this.#disposePrograms();
    for await (const param of this.#source(undefined, names)) await this.#weights.set(param);
  }

  /** The program for the shapes that `key` stands for, compiled when it is new. */
  async program(key: string, trace: () => Graph, signal?: AbortSignal): Promise<Program> {
    const weights = await this.#fill(signal);
    let program = this.#programs.get(key);
    if (program) this.#programs.delete(key);
    else {
      // Before compiling, so that the old arena's memory is free for the new one.
      for (const [oldest, old] of this.#programs) {
        if (this.#programs.size < this.#keep) break;
        this.#programs.delete(oldest);
        old.dispose();
      }
      program = await this.#backend.compile(trace(), weights);
    }
    this.#programs.set(key, program);
    return program;
  }

  /** Gives its memory back. Used again, it reads its weights again. */
  dispose(): void {
    this.#disposePrograms();
    this.#weights?.dispose();
    this.#weights = undefined;
  }

  #disposePrograms(): void {
    for (const program of this.#programs.values()) program.dispose();
    this.#programs.clear();
  }
}
