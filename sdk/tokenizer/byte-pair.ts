import { SDError } from '../errors.ts';
import type { Vocabulary } from './vocabulary.ts';

/** What build/wasm/tokenizer.wasm exports; see wasm/tokenizer/index.ts. */
interface Exports {
  memory: WebAssembly.Memory;
  open(tokenCount: number, mergeCount: number): void;
  reserve(bytes: number): number;
  build(
    pointer: number,
    tokenCount: number,
    tokenBytes: number,
    mergeCount: number,
    mergeBytes: number,
    unknown: number,
    startOfText: number,
    endOfText: number,
  ): void;
  encode(pointer: number, length: number, special: number): number;
  result(): number;
  classify(code: number): number;
}

/** Unicode classes of a code point, as `BytePairEncoder.classify` gives them. */
export const KIND_MASK = 3;
export const KIND_SPACE = 3;
/** Category C* of Unicode 14: control, format, surrogate, private use, unassigned. */
export const CONTROL_FLAG = 4;

/** The WebAssembly part of the tokenizer: the split into words and the byte-pair merges. */
export class BytePairEncoder {
  readonly #wasm: Exports;
  readonly #utf8 = new TextEncoder();

  private constructor(wasm: Exports) {
    this.#wasm = wasm;
  }

  /** Instantiates the module and builds its tables. `unknown` is the id for symbols without one. */
  static async create(
    wasm: WebAssembly.Module | BufferSource,
    vocabulary: Vocabulary,
    unknown: number,
  ): Promise<BytePairEncoder> {
    const module = wasm instanceof WebAssembly.Module ? wasm : new WebAssembly.Module(wasm);
    const instance = new WebAssembly.Instance(module, {});
    const encoder = new BytePairEncoder(instance.exports as unknown as Exports);
    encoder.#build(vocabulary, unknown);
    return encoder;
  }

  #build({ ids, merges }: Vocabulary, unknown: number): void {
    // A token with a line break cannot come out of merging, and would break the lines it travels in.
    const entries = [...ids].filter(([token]) => !token.includes('\n'));
    const tokens = this.#utf8.encode(entries.map(([token]) => token).join('\n'));
    const lines = this.#utf8.encode(merges.join('\n'));
    this.#guarded(() => {
      this.#wasm.open(entries.length, merges.length);
      const pointer = this.#wasm.reserve(entries.length * 4 + tokens.length + 1 + lines.length);
      const memory = this.#wasm.memory.buffer;
      new Int32Array(memory, pointer, entries.length).set(entries.map(([, id]) => id));
      const text = new Uint8Array(memory, pointer + entries.length * 4);
      text.set(tokens);
      text[tokens.length] = 0x0a;
      text.set(lines, tokens.length + 1);
      this.#wasm.build(
        pointer,
        entries.length,
        tokens.length + 1,
        merges.length,
        lines.length,
        unknown,
        ids.get('<|startoftext|>') ?? unknown,
        ids.get('<|endoftext|>') ?? unknown,
      );
    });
  }

  /**
   * Ids of a cleaned, well-formed text. With `special`, as in the slow tokenizers' regular
   * expression, `<|startoftext|>` and `<|endoftext|>` are one id each and contractions ignore case.
   */
  encode(text: string, special: boolean): number[] {
    const bytes = this.#utf8.encode(text);
    return this.#guarded(() => {
      const pointer = this.#wasm.reserve(bytes.length);
      new Uint8Array(this.#wasm.memory.buffer, pointer, bytes.length).set(bytes);
      const count = this.#wasm.encode(pointer, bytes.length, special ? 1 : 0);
      return Array.from(new Int32Array(this.#wasm.memory.buffer, this.#wasm.result(), count));
    });
  }

  /** Unicode class (`KIND_MASK`: 1 letter, 2 number, 3 white space) and `CONTROL_FLAG`. */
  classify(code: number): number {
    return this.#wasm.classify(code);
  }

  /** The module traps in one case only: linear memory cannot grow. */
  #guarded<T>(work: () => T): T {
    try {
      return work();
    } catch (cause) {
      if (!(cause instanceof WebAssembly.RuntimeError)) throw cause;
      throw new SDError('OUT_OF_MEMORY', 'The tokenizer ran out of memory; shorten the prompt.', {
        cause,
      });
    }
  }
}
