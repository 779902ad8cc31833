import type { Step } from '../../graph/index.ts';
import { FIRST, INSTRUCTION, OP, TILES } from '../../../wasm/engine/layout.ts';

const WORDS = INSTRUCTION / 4;
/** Instructions beyond this many flops are cut, so that an abort need not wait for all of them. */
const LARGEST = 2e9;

/** One instruction in the making. Fields are the byte offsets of wasm/engine/layout.ts. */
export class Instruction {
  readonly words = new Int32Array(WORDS);
  /** Fields that hold offsets into the arena, to which its address is added. */
  readonly relative: number[] = [];

  constructor(op: number) {
    this.words[OP / 4] = op;
  }

  /** An integer, or the address of a weight. */
  set(field: number, value: number): this {
    this.words[field / 4] = value;
    return this;
  }

  float(field: number, value: number): this {
    new Float32Array(this.words.buffer)[field / 4] = value;
    return this;
  }

  /** A place in the arena; nothing for an absent operand. */
  arena(field: number, offset: number | undefined): this {
    if (offset === undefined) return this;
    this.words[field / 4] = offset;
    this.relative.push(field / 4);
    return this;
  }
}

/** A program in the making: instructions, their costs, and constants that they read. */
export class Code {
  readonly costs: number[] = [];
  /** Of each instruction: the step it belongs to. */
  readonly steps: Step[] = [];
  /** What is lowered at the moment. */
  step!: Step;
  readonly #words: Int32Array[] = [];
  readonly #relative: number[] = [];
  readonly #constants: Float32Array[] = [];
  readonly #constantFields: { at: number; constant: number }[] = [];

  /** Appends an instruction of `tiles` tiles that costs `flops` in all. */
  add(instruction: Instruction, tiles: number, flops: number): void {
    const parts = Math.min(tiles, Math.max(1, Math.ceil(flops / LARGEST)));
    for (let part = 0, first = 0; part < parts; part++) {
      const end = Math.round(((part + 1) * tiles) / parts);
      const words = instruction.words.slice();
      words[TILES / 4] = end - first;
      words[FIRST / 4] = first;
      for (const field of instruction.relative)
        this.#relative.push(this.#words.length * WORDS + field);
      this.#words.push(words);
      this.steps.push(this.step);
      this.costs.push((flops * (end - first)) / tiles);
      first = end;
    }
  }

  /** Float32 constants, for a field of the instruction that is added next. */
  constant(field: number, values: Float32Array): void {
    this.#constantFields.push({
      at: this.#words.length * WORDS + field / 4,
      constant: this.#constants.push(values) - 1,
    });
  }

  get bytes(): number {
    const constants = this.#constants.reduce((sum, values) => sum + values.byteLength, 0);
    return this.#words.length * INSTRUCTION + constants;
  }

  /** The words of the whole program as it lies at `address`, with the arena at `arena`. */
  assemble(address: number, arena: number): Int32Array {
    const all = new Int32Array(this.bytes / 4);
    this.#words.forEach((words, i) => all.set(words, i * WORDS));
    for (const at of this.#relative) all[at] += arena;
    let end = this.#words.length * WORDS;
    const places = this.#constants.map((values) => {
      new Float32Array(all.buffer).set(values, end);
      end += values.length;
      return address + (end - values.length) * 4;
    });
    for (const { at, constant } of this.#constantFields) all[at] = places[constant];
    return all;
  }
}
