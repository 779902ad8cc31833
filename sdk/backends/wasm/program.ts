import { SDError } from '../../errors.ts';
import { fuse, plan, type Graph, type Step, type Tensor } from '../../graph/index.ts';
import type { Program, ProgramReport, Weights } from '../backend.ts';
import type { SharedArena } from './arena.ts';
import type { Engine, Walk } from './engine.ts';
import { lower, type Lowered } from './lower.ts';
import { WasmWeights } from './weights.ts';

interface Input {
  readonly tensor: Tensor;
  readonly dtype: 'f32' | 'i32';
  readonly once: boolean;
  data?: Float32Array | Int32Array;
  /** Whether the arena lacks `data`. */
  stale: boolean;
}

/** A compiled model. All programs of an engine share one arena, so inputs are kept aside as well. */
export class WasmProgram implements Program {
  readonly report: ProgramReport;
  readonly #engine: Engine;
  readonly #arena: SharedArena;
  readonly #lowered: Lowered;
  readonly #inputs = new Map<string, Input>();
  readonly #outputs: ReadonlyMap<string, Tensor>;
  readonly #offset: (t: Tensor) => number;
  readonly #results = new Map<string, Float32Array>();
  readonly #release: () => void;
  /** Where the instructions lie, and for which place of the arena they were written. */
  #code: { address: number; bytes: number; arena: number };
  #once: Walk;
  #perStep: Walk;
  #onceDirty = true;
  #disposed = false;

  constructor(engine: Engine, arena: SharedArena, graph: Graph, weights: Weights) {
    if (!(weights instanceof WasmWeights))
      throw new SDError('INTERNAL', 'These weights belong to another backend.');
    const fused = fuse(graph, { norm: 'loader' });
    const layout = plan(fused, { elementBytes: 4, alignment: 64 });
    this.#engine = engine;
    this.#arena = arena;
    this.#lowered = lower(fused, layout, weights, engine.threads, engine.relaxed ? 6 : 4);
    this.#outputs = graph.outputs;
    this.#offset = (t) => layout.offset(t);
    for (const { op, out } of fused.steps)
      if (op.kind === 'input')
        this.#inputs.set(op.name, {
          tensor: out,
          dtype: op.dtype,
          once: layout.once.some((step) => step.out === out),
          stale: true,
        });
    const { once, perStep, arenaBytes } = this.#lowered;
    this.#release = arena.require(arenaBytes);
    const bytes = once.bytes + perStep.bytes;
    this.#code = { address: engine.memory.allocate(bytes), bytes, arena: -1 };
    this.#once = { address: this.#code.address, costs: once.costs };
    this.#perStep = { address: this.#code.address + once.bytes, costs: perStep.costs };
    this.report = {
      arenaBytes,
      liveBytes: layout.liveBytes,
      weightBytes: weights.bytes,
      onceSteps: once.costs.length,
      perStepSteps: perStep.costs.length,
    };
  }

  write(name: string, data: Float32Array | Int32Array): void {
    const input = this.#inputs.get(name);
    if (!input) throw new SDError('INTERNAL', `The model has no input ${name}.`);
    const fits = input.dtype === 'i32' ? data instanceof Int32Array : data instanceof Float32Array;
    if (!fits || data.length !== input.tensor.size)
      throw new SDError(
        'INTERNAL',
        `Input ${name} is ${input.dtype} [${input.tensor.shape}], not ${data.length} numbers.`,
      );
    input.data = data.slice();
    input.stale = true;
    if (input.once) this.#onceDirty = true;
  }

  run(signal?: AbortSignal): Promise<void> {
    if (this.#disposed)
      return Promise.reject(new SDError('DISPOSED', 'The program was disposed of.'));
    const check = (): void => {
      if (signal?.aborted)
        throw new SDError('ABORTED', 'The run was aborted.', { cause: signal.reason });
      if (this.#disposed) throw new SDError('ABORTED', 'The program was disposed of while it ran.');
    };
    return this.#engine.exclusive(async () => {
      check();
      this.#results.clear();
      this.#prepare();
      if (this.#onceDirty) {
        await this.#engine.walk(this.#once, check);
        this.#onceDirty = false;
      }
      await this.#engine.walk(this.#perStep, check);
      for (const [name, t] of this.#outputs)
        this.#results.set(name, this.#floats(this.#offset(t), t.size).slice());
    });
  }

  /** Milliseconds of each instruction of the `perStep` part and the step it belongs to, for benchmarks. */
  profile(): Promise<{ readonly step: Step; readonly ms: number }[]> {
    return this.#engine.exclusive(async () => {
      this.#prepare();
      const { steps } = this.#lowered.perStep;
      return this.#engine.time(this.#perStep).map((ms, i) => ({ step: steps[i], ms }));
    });
  }

  read(name: string): Promise<Float32Array> {
    const result = this.#results.get(name);
    if (!result)
      return Promise.reject(
        new SDError(
          'INTERNAL',
          this.#outputs.has(name)
            ? `Output ${name} is not computed yet.`
            : `The model has no output ${name}.`,
        ),
      );
    return Promise.resolve(result.slice());
  }

  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    // A run may be under way, and the engine still reads what is freed here.
    void this.#engine.exclusive(async () => {
      this.#engine.memory.free(this.#code.address, this.#code.bytes);
      this.#release();
      this.#results.clear();
    });
  }

  /** Brings the arena to where this program left it. */
  #prepare(): void {
    const { address, taken } = this.#arena.claim(this);
    const { memory } = this.#engine;
    if (this.#code.arena !== address) {
      const { once, perStep } = this.#lowered;
      for (const [walk, code] of [
        [this.#once, once],
        [this.#perStep, perStep],
      ] as const)
        memory.integers(walk.address, code.bytes / 4).set(code.assemble(walk.address, address));
      this.#code.arena = address;
    }
    if (taken) this.#onceDirty = true;
    for (const [name, input] of this.#inputs) {
      if (!input.data) throw new SDError('INTERNAL', `Input ${name} was never written.`);
      if (!input.stale && !taken) continue;
      const at = address + this.#offset(input.tensor);
      if (input.data instanceof Int32Array) memory.integers(at, input.data.length).set(input.data);
      else memory.floats(at, input.data.length).set(input.data);
      input.stale = false;
    }
  }

  #floats(offset: number, count: number): Float32Array {
    return this.#engine.memory.floats(this.#code.arena + offset, count);
  }
}
