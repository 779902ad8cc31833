import type { Combination, Guidance, VectorOptions, Vectors } from '../backend.ts';
import { isSDError } from '../../errors.ts';
import type { WebGPUBackend } from './index.ts';
import { isBroken, OVERFLOWED } from './overflow.ts';
import type { RenewingBackend, RenewingProgram } from './renewal.ts';
import type { WebGPUProgram } from './program.ts';
import type { WebGPUVectors } from './vectors.ts';

type Command = (vectors: WebGPUVectors) => void | Promise<void>;

/**
 * Latents of a loop that survive their device: what was done to them since the last copy is kept, and
 * done again on a new device, or in float32 where half precision overflowed. A copy is asked for now
 * and then, and taken when it comes, so that the loop never waits for it.
 */
export class RenewingVectors implements Vectors {
  readonly #backend: RenewingBackend;
  readonly #options: VectorOptions;
  readonly #copyEvery: number;
  #inner: WebGPUVectors;
  #of: WebGPUBackend | undefined;
  #journal: Command[] = [];
  #copy: Float32Array | undefined;
  #copied = performance.now();
  #isCopying = false;
  #isExact: boolean;
  /** A copy showed it, before the end of the loop. */
  #isBroken = false;

  private constructor(
    backend: RenewingBackend,
    inner: WebGPUVectors,
    options: VectorOptions,
    copyEvery: number,
  ) {
    this.#backend = backend;
    this.#options = options;
    this.#copyEvery = copyEvery;
    this.#inner = inner;
    this.#of = backend.current;
    this.#isExact = backend.current.device.storage === 'f32';
  }

  static async create(
    backend: RenewingBackend,
    options: VectorOptions,
    copyEvery: number,
  ): Promise<RenewingVectors | undefined> {
    const inner = await backend.withDevice(() => backend.current.createVectors(options));
    return inner && new RenewingVectors(backend, inner, options, copyEvery);
  }

  write(into: number, data: Float32Array): void {
    const kept = data.slice();
    this.#tell((vectors) => vectors.write(into, kept));
  }

  combine(into: number, inside: Combination, outside?: Combination): void {
    this.#tell((vectors) => vectors.combine(into, inside, outside));
  }

  async evaluate(
    program: RenewingProgram,
    input: Combination,
    pictures: readonly number[],
    guidance: Guidance | undefined,
    into: number,
    signal?: AbortSignal,
  ): Promise<void> {
    if (this.#isBroken) await this.#beExact();
    else this.#maybeCopy();
    const { inputs, isDisposed } = program;
    const command: Command = async (vectors) => {
      if (this.#isExact) program.beExact();
      const inner = (await program.readyWith(inputs)) as WebGPUProgram;
      await vectors.evaluate(inner, input, pictures, guidance, into, signal);
      if (program.isDisposed && !isDisposed) program.dispose();
    };
    this.#journal.push(command);
    await this.#onDevice((isNew) => (isNew ? undefined : command(this.#inner)));
  }

  async read(from: number): Promise<Float32Array> {
    const read = (): Promise<Float32Array> => this.#onDevice(() => this.#inner.read(from));
    const values = await read();
    if (this.#isExact || !isBroken(values)) return values;
    await this.#beExact();
    return read();
  }

  dispose(): void {
    this.#inner.dispose();
    this.#journal = [];
  }

  /** What does not wait for the GPU; whether it is still there is found out by what does. */
  #tell(command: Command): void {
    this.#journal.push(command);
    if (this.#of !== this.#backend.current) return;
    try {
      void command(this.#inner);
    } catch (error) {
      if (!isSDError(error) || error.code !== 'DEVICE_LOST') throw error;
    }
  }

  /** @param work is told whether everything in the journal was just done on a new device */
  #onDevice<T>(work: (isNew: boolean) => T | Promise<T>): Promise<T> {
    return this.#backend.withDevice(async () => {
      const isNew = this.#of !== this.#backend.current;
      if (isNew) await this.#repeat();
      return work(isNew);
    });
  }

  async #repeat(): Promise<void> {
    const { current } = this.#backend;
    this.#inner.dispose();
    this.#inner = (await current.createVectors(this.#options))!;
    if (this.#copy) this.#inner.restore(this.#copy);
    for (const command of this.#journal) await command(this.#inner);
    this.#of = current;
  }

  async #beExact(): Promise<void> {
    this.#backend.notice(OVERFLOWED);
    this.#isExact = true;
    this.#isBroken = false;
    this.#of = undefined;
    await this.#onDevice(() => {});
  }

  #maybeCopy(): void {
    const isTime = performance.now() - this.#copied >= this.#copyEvery;
    if (this.#isCopying || !isTime || this.#of !== this.#backend.current) return;
    this.#isCopying = true;
    const done = this.#journal.length;
    const journal = this.#journal;
    this.#inner.copy().then(
      (copy) => {
        this.#isCopying = false;
        this.#copied = performance.now();
        if (this.#journal !== journal) return;
        if (!this.#isExact && !copy.every((value) => Number.isFinite(value))) {
          this.#isBroken = true;
          return;
        }
        this.#copy = copy;
        this.#journal = journal.slice(done);
      },
      () => (this.#isCopying = false), // the device is gone: the next command finds out
    );
  }
}
