import type { Param, Tensor } from '../../graph/index.ts';
import { SDError } from '../../errors.ts';
import type { Operand } from './dispatch.ts';
import { ALIGNMENT, wordBytes, type ParamSlot, type TensorLayout } from './layout.ts';
import { guess, type Choice, type Product } from './tiles.ts';

export interface LoweringOptions {
  readonly layout: TensorLayout;
  /** Bytes from the arena's start. */
  offset(t: Tensor): number;
  slot(param: Param): ParamSlot;
  /** Most bytes of one storage binding. */
  readonly maxBinding: number;
  /** Work that one dispatch may do before it is cut. */
  readonly maxFlops: number;
  /** Words of q, and as many of the result, that a thread of the attention holds in registers. */
  readonly headWords: number;
  choose?(product: Product): Choice;
}

/** What lowering an op needs to know of the device and of where things lie. */
export class Context {
  readonly layout: TensorLayout;
  readonly maxBinding: number;
  readonly maxFlops: number;
  readonly headWords: number;
  readonly #options: LoweringOptions;

  constructor(options: LoweringOptions) {
    this.layout = options.layout;
    this.maxBinding = options.maxBinding;
    this.maxFlops = options.maxFlops;
    this.headWords = options.headWords;
    this.#options = options;
  }

  choose(product: Product): Choice {
    return this.#options.choose?.(product) ?? guess(product);
  }

  /** True when a tensor is too large for one binding and must be seen through windows. */
  isLarge(t: Tensor | undefined): boolean {
    return t !== undefined && this.layout.bytes(t) > this.maxBinding;
  }

  /** All of a tensor. */
  whole(t: Tensor | undefined): Operand {
    if (!t) return { from: 'nothing' };
    if (this.isLarge(t))
      throw new SDError(
        'OUT_OF_MEMORY',
        `a tensor of [${t.shape}] needs ${this.layout.bytes(t)} bytes and this device binds at most ` +
          `${this.maxBinding} at once; use a smaller picture`,
      );
    return { from: 'arena', offset: this.#options.offset(t), size: this.layout.bytes(t) };
  }

  /**
   * The words `begin` to `end` of a tensor, or all of it where it fits; `origin` is the first word
   * that the operand sees.
   */
  window(t: Tensor | undefined, begin: number, end: number): { operand: Operand; origin: number } {
    if (!t || !this.isLarge(t)) return { operand: this.whole(t), origin: 0 };
    const bytes = wordBytes(this.layout.storage);
    const from = Math.floor((begin * bytes) / ALIGNMENT) * ALIGNMENT;
    const to = Math.min(end * bytes, this.layout.bytes(t));
    if (to - from > this.maxBinding)
      throw new SDError(
        'INTERNAL',
        `a window of ${to - from} bytes into [${t.shape}] is too large`,
      );
    const operand: Operand = {
      from: 'arena',
      offset: this.#options.offset(t) + from,
      size: to - from,
    };
    return { operand, origin: from / bytes };
  }

  /** Words that a window may have, whatever it starts at. */
  get windowWords(): number {
    return Math.floor((this.maxBinding - ALIGNMENT) / wordBytes(this.layout.storage));
  }

  slot(param: Param): ParamSlot {
    return this.#options.slot(param);
  }

  param(param: Param | undefined): Operand {
    if (!param) return { from: 'nothing' };
    const { buffer, offset, bytes } = this.slot(param);
    return { from: 'weights', buffer, offset, size: bytes };
  }
}
