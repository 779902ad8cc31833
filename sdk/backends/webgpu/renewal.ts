import type { Graph, Param } from '../../graph/index.ts';
import { isSDError, SDError } from '../../errors.ts';
import type {
  Backend,
  PackedParam,
  Program,
  ProgramReport,
  VectorOptions,
  Vectors,
  WeightDtypes,
  Weights,
} from '../backend.ts';
import type { WebGPUBackend } from './index.ts';
import { isBroken, OVERFLOWED } from './overflow.ts';
import { RenewingVectors } from './renewing-vectors.ts';

/** Devices that may be lost within a while before it is given up: the third loss is no accident. */
const MOST_LOSSES = 2;
const WHILE = 5 * 60_000;

/**
 * The WebGPU engine on whatever device there is at the moment. GPUs go away: drivers restart,
 * laptops change cards, watchdogs fire. All state of a step is its inputs, so a lost device is
 * replaced, weights are streamed in again, and the step that was running starts over. A program whose
 * results leave the numbers that f16 holds (SDXL's VAE) starts over in f32, and stays there.
 * @param open opens the engine on a new adapter: one whose device was lost gives no other
 * @param copyEvery milliseconds after which a copy of a loop's latents is worth taking
 */
export async function createRenewingBackend(
  open: () => Promise<WebGPUBackend>,
  copyEvery = 2000,
): Promise<RenewingBackend> {
  return new RenewingBackend(open, await open(), copyEvery);
}

export class RenewingBackend implements Backend {
  readonly name = 'webgpu';
  readonly #open: () => Promise<WebGPUBackend>;
  readonly #copyEvery: number;
  #current: WebGPUBackend;
  #renewal: Promise<void> | undefined;
  #losses: number[] = [];
  #notices: string[] = [];

  constructor(open: () => Promise<WebGPUBackend>, current: WebGPUBackend, copyEvery: number) {
    this.#open = async () => {
      const engine = await open();
      this.#listen(engine);
      return engine;
    };
    this.#listen(current);
    this.#current = current;
    this.#copyEvery = copyEvery;
  }

  onCompile?: (done: number, total: number) => void;

  #listen(engine: WebGPUBackend): void {
    engine.onCompile = (done, total) => this.onCompile?.(done, total);
  }

  /** The engine of the present device; another object after a loss. */
  get current(): WebGPUBackend {
    return this.#current;
  }

  get description(): string {
    return this.#current.description;
  }

  async createWeights(params: Iterable<Param>, dtypes: WeightDtypes): Promise<Weights> {
    const weights = new RenewingWeights(this, [...params], dtypes);
    await weights.ready();
    return weights;
  }

  async compile(graph: Graph, weights: Weights): Promise<Program> {
    const program = new RenewingProgram(this, graph, weights as RenewingWeights);
    await this.withDevice(() => program.ready());
    return program;
  }

  async createVectors(options: VectorOptions): Promise<Vectors | undefined> {
    return RenewingVectors.create(this, options, this.#copyEvery);
  }

  /** Does something again on a new device when this one goes away meanwhile. */
  async withDevice<T>(work: () => Promise<T>): Promise<T> {
    for (;;) {
      const tried = this.#current;
      try {
        return await work();
      } catch (error) {
        if (!isSDError(error) || error.code !== 'DEVICE_LOST') throw error;
        // Whoever found out first has renewed it by now, or is about to.
        if (tried === this.#current) await (this.#renewal ??= this.#renew(error));
      }
    }
  }

  async #renew(loss: SDError): Promise<void> {
    try {
      const now = Date.now();
      this.#losses = [...this.#losses.filter((at) => now - at < WHILE), now];
      if (this.#losses.length > MOST_LOSSES)
        throw new SDError(
          'DEVICE_LOST',
          `the GPU went away ${this.#losses.length} times in a row; close other programs that use ` +
            `it, choose a smaller picture, or the CPU (backend: 'wasm')`,
          { cause: loss },
        );
      const old = this.#current;
      this.#current = await this.#open();
      this.notice('The GPU went away and came back; the step that was running was repeated.');
      await old.dispose();
    } finally {
      this.#renewal = undefined;
    }
  }

  notice(text: string): void {
    this.#notices.push(text);
  }

  takeNotices(): string[] {
    return this.#notices.splice(0);
  }

  dispose(): Promise<void> {
    return this.#current.dispose();
  }
}

/** Parameters that can be streamed in again. */
class RenewingWeights implements Weights {
  readonly #backend: RenewingBackend;
  readonly #params: readonly Param[];
  readonly #dtypes: WeightDtypes;
  #source: (() => AsyncIterable<PackedParam>) | undefined;
  #inner: Promise<Weights> | undefined;
  #of: WebGPUBackend | undefined;

  constructor(backend: RenewingBackend, params: readonly Param[], dtypes: WeightDtypes) {
    this.#backend = backend;
    this.#params = params;
    this.#dtypes = dtypes;
  }

  bytes = 0;

  async set(param: PackedParam): Promise<void> {
    await (await this.#inner!).set(param);
  }

  keepSource(source: () => AsyncIterable<PackedParam>): void {
    this.#source = source;
  }

  /** The weights on the present device, filled. */
  ready(): Promise<Weights> {
    const { current } = this.#backend;
    if (this.#of === current) return this.#inner!;
    const isFirst = this.#of === undefined;
    this.#of = current;
    this.#inner = this.#fill(current, isFirst);
    // Who waits for it hears of a failure; the next to ask tries again.
    this.#inner.catch(() => (this.#of = isFirst ? undefined : LOST));
    return this.#inner;
  }

  async #fill(backend: WebGPUBackend, isFirst: boolean): Promise<Weights> {
    const weights = await backend.createWeights(this.#params, this.#dtypes);
    this.bytes = weights.bytes;
    // The first time, whoever asked for room fills it.
    if (isFirst || this.#params.length === 0) return weights;
    if (!this.#source)
      throw new SDError(
        'INTERNAL',
        'the GPU went away while the model was being loaded; load again',
      );
    for await (const param of this.#source()) await weights.set(param);
    return weights;
  }

  dispose(): void {
    void this.#inner?.then((weights) => weights.dispose()).catch(() => {});
  }
}

/** Stands for a device that is gone, and equals none that is there. */
const LOST = {} as WebGPUBackend;

/** A program that remembers its inputs, so that it can run again elsewhere. */
export class RenewingProgram implements Program {
  readonly #backend: RenewingBackend;
  readonly #graph: Graph;
  readonly #weights: RenewingWeights;
  readonly #inputs = new Map<string, Float32Array | Int32Array>();
  #inner: Program | undefined;
  #of: WebGPUBackend | undefined;
  /** True when the outputs on the present device are those of the inputs. */
  #hasRun = false;
  #isExact = false;
  #isDisposed = false;

  constructor(backend: RenewingBackend, graph: Graph, weights: RenewingWeights) {
    this.#backend = backend;
    this.#graph = graph;
    this.#weights = weights;
  }

  get report(): ProgramReport {
    return this.#inner!.report;
  }

  /** The program on the present device, with its inputs. */
  async ready(): Promise<Program> {
    const { current } = this.#backend;
    if (this.#of === current) return this.#inner!;
    const weights = await this.#weights.ready();
    const engine = this.#isExact ? current.exact : current;
    const inner = await engine.compile(this.#graph, weights);
    for (const [name, data] of this.#inputs) inner.write(name, data);
    this.#inner = inner;
    this.#of = current;
    this.#hasRun = false;
    return inner;
  }

  write(input: string, data: Float32Array | Int32Array): void {
    this.#inputs.set(input, data.slice());
    this.#hasRun = false;
    if (this.#of !== this.#backend.current) return;
    try {
      this.#inner!.write(input, data);
    } catch (error) {
      // A run finds out as well, and can do something about it.
      if (!isSDError(error) || error.code !== 'DEVICE_LOST') throw error;
    }
  }

  /** What every input was last given. */
  get inputs(): ReadonlyMap<string, Float32Array | Int32Array> {
    return new Map(this.#inputs);
  }

  /** The program on the present device with the inputs of some earlier moment. */
  async readyWith(inputs: ReadonlyMap<string, Float32Array | Int32Array>): Promise<Program> {
    const inner = await this.ready();
    for (const [name, data] of inputs)
      if (this.#inputs.get(name) !== data) {
        this.#inputs.set(name, data);
        inner.write(name, data);
      }
    return inner;
  }

  /** From now on in float32. */
  beExact(): void {
    if (this.#isExact || this.#backend.current.device.storage === 'f32') return;
    this.#isExact = true;
    this.#inner?.dispose();
    this.#of = undefined;
  }

  async run(signal?: AbortSignal): Promise<void> {
    await this.#backend.withDevice(async () => (await this.ready()).run(signal));
    this.#hasRun = true;
  }

  async read(output: string): Promise<Float32Array> {
    const values = await this.#read(output);
    const isExact = this.#isExact || this.#backend.current.device.storage === 'f32';
    if (isExact || !isBroken(values)) return values;
    this.#backend.notice(OVERFLOWED);
    this.beExact();
    await this.run();
    return this.#read(output);
  }

  #read(output: string): Promise<Float32Array> {
    return this.#backend.withDevice(async () => {
      const had = this.#hasRun;
      const inner = await this.ready();
      if (had && !this.#hasRun) {
        await inner.run();
        this.#hasRun = true;
      }
      return inner.read(output);
    });
  }

  /** Used once more after it was disposed (by a loop that is repeated), it can be disposed again. */
  get isDisposed(): boolean {
    return this.#isDisposed;
  }

  dispose(): void {
    this.#isDisposed = true;
    this.#inner?.dispose();
    this.#of = undefined;
  }
}
