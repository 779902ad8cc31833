import type { Graph } from './graph.ts';

/**
 * A symbolic tensor: a shape and the op that makes it; it holds no numbers. Pictures and feature
 * maps are `[batch, height, width, channels]`, sequences `[batch, tokens, channels]`.
 */
export class Tensor {
  readonly graph: Graph;
  /** Index of the op that makes this tensor, in `graph.ops`. */
  readonly id: number;
  readonly shape: readonly number[];

  constructor(graph: Graph, id: number, shape: readonly number[]) {
    this.graph = graph;
    this.id = id;
    this.shape = shape;
  }

  /** Size of the last axis. */
  get channels(): number {
    return this.shape[this.shape.length - 1];
  }

  get size(): number {
    return sizeOf(this.shape);
  }
}

/**
 * How a parameter is used, which decides how it is stored: a `matrix` is packed into panels for the
 * matrix kernels, a `vector` (bias, norm) stays float32, a `table` is read by rows.
 */
export type ParamKind = 'matrix' | 'vector' | 'table';

/** A named weight with its shape as the checkpoint states it (torch order: `[out, in, kh, kw]`). */
export interface Param {
  readonly name: string;
  readonly shape: readonly number[];
  readonly kind: ParamKind;
}

export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, n) => product * n, 1);
}

export function sameShape(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((n, i) => n === b[i]);
}
