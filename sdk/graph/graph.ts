import {
  isParam,
  type ActivationFn,
  type ConvGeometry,
  type InputRate,
  type Padding,
  type PrimitiveOp,
} from './ops.ts';
import { sameShape, sizeOf, Tensor, type Param, type ParamKind } from './tensor.ts';

/**
 * A model traced with concrete shapes: ops in the order they were written, each with the shape of
 * its result, and the parameters they name. Equal ops on equal inputs are recorded once.
 */
export class Graph {
  readonly ops: PrimitiveOp[] = [];
  readonly tensors: Tensor[] = [];
  readonly params = new Map<string, Param>();
  readonly inputs = new Map<string, Tensor>();
  readonly outputs = new Map<string, Tensor>();
  readonly #known = new Map<string, Tensor>();

  input(
    name: string,
    shape: readonly number[],
    options: { rate?: InputRate; dtype?: 'f32' | 'i32' } = {},
  ): Tensor {
    const { rate = 'step', dtype = 'f32' } = options;
    const tensor = this.record({ kind: 'input', name, dtype, rate }, shape);
    this.inputs.set(name, tensor);
    return tensor;
  }

  output(name: string, tensor: Tensor): void {
    this.outputs.set(name, tensor);
  }

  /** The scope with no prefix, from which layers take their parameter names. */
  get root(): Scope {
    return new Scope(this, '');
  }

  /** Names a parameter. Naming it twice with another shape is a bug of the model file. */
  param(name: string, shape: readonly number[], kind: ParamKind): Param {
    const known = this.params.get(name);
    if (known) {
      if (!sameShape(known.shape, shape) || known.kind !== kind)
        throw new Error(`parameter ${name} is used as [${known.shape}] and as [${shape}]`);
      return known;
    }
    const param = { name, shape: [...shape], kind };
    this.params.set(name, param);
    return param;
  }

  record(op: PrimitiveOp, shape: readonly number[]): Tensor {
    if (shape.some((n) => !Number.isInteger(n) || n < 1))
      throw new Error(`${op.kind} has no elements: [${shape}]`);
    const key = keyOf(op, shape);
    const known = this.#known.get(key);
    if (known) return known;
    const tensor = new Tensor(this, this.ops.length, [...shape]);
    this.ops.push(op);
    this.tensors.push(tensor);
    this.#known.set(key, tensor);
    return tensor;
  }
}

/** Two ops with the same key compute the same numbers. */
function keyOf(op: PrimitiveOp, shape: readonly number[]): string {
  const part = (value: unknown): unknown => {
    if (value instanceof Tensor) return `t${value.id}`;
    if (isParam(value)) return `p${value.name}`;
    return value;
  };
  return JSON.stringify([Object.entries(op).map(([name, value]) => [name, part(value)]), shape]);
}

/** A place in the tree of module names; its layers name their parameters as PyTorch does. */
export class Scope {
  readonly #graph: Graph;
  readonly #prefix: string;

  constructor(graph: Graph, prefix: string) {
    this.#graph = graph;
    this.#prefix = prefix;
  }

  /** The module `name` below this one. */
  at(name: string): Scope {
    return new Scope(this.#graph, this.#path(name));
  }

  linear(name: string, x: Tensor, out: number, options: { bias?: boolean } = {}): Tensor {
    const params = this.#matrix(name, [out, x.channels], options.bias);
    return this.#graph.record({ kind: 'linear', x, ...params }, [...x.shape.slice(0, -1), out]);
  }

  /** Defaults: 3×3, stride 1, padding that keeps the size, with bias. */
  conv(
    name: string,
    x: Tensor,
    out: number,
    options: {
      kernel?: number;
      stride?: number;
      padding?: number | Padding;
      bias?: boolean;
      wrap?: ConvGeometry['wrap'];
    } = {},
  ): Tensor {
    const { kernel = 3, stride = 1, wrap = { x: false, y: false } } = options;
    const pad = options.padding ?? (kernel - 1) / 2;
    const padding =
      typeof pad === 'number' ? { top: pad, right: pad, bottom: pad, left: pad } : pad;
    const [batch, height, width, channels] = x.shape;
    const outHeight = Math.floor((height + padding.top + padding.bottom - kernel) / stride) + 1;
    const outWidth = Math.floor((width + padding.left + padding.right - kernel) / stride) + 1;
    const params = this.#matrix(name, [out, channels, kernel, kernel], options.bias);
    const geometry: ConvGeometry = { kernel: [kernel, kernel], stride, padding, wrap };
    return this.#graph.record({ kind: 'conv', x, ...params, geometry }, [
      batch,
      outHeight,
      outWidth,
      out,
    ]);
  }

  groupNorm(name: string, x: Tensor, groups: number, eps: number): Tensor {
    if (x.channels % groups !== 0)
      throw new Error(`${x.channels} channels do not divide into ${groups} groups`);
    return this.#graph.record(
      { kind: 'groupNorm', x, ...this.#affine(name, x), groups, eps },
      x.shape,
    );
  }

  layerNorm(name: string, x: Tensor, eps: number): Tensor {
    return this.#graph.record({ kind: 'layerNorm', x, ...this.#affine(name, x), eps }, x.shape);
  }

  /** Token plus position embedding of ids `[batch, n]` → `[batch, n, dim]`. */
  embed(
    names: { tokens: string; positions: string },
    ids: Tensor,
    vocabulary: number,
    maxPositions: number,
    dim: number,
  ): Tensor {
    const table = this.#param(names.tokens, [vocabulary, dim], 'table');
    const positions = this.#param(names.positions, [maxPositions, dim], 'table');
    return this.#graph.record({ kind: 'embed', ids, table, positions }, [...ids.shape, dim]);
  }

  #matrix(name: string, shape: readonly number[], hasBias = true) {
    const weight = this.#param(`${name}.weight`, shape, 'matrix');
    const bias = hasBias ? this.#param(`${name}.bias`, [shape[0]], 'vector') : undefined;
    return { weight, bias };
  }

  /** Scale and shift of a norm. */
  #affine(name: string, { channels }: Tensor) {
    const weight = this.#param(`${name}.weight`, [channels], 'vector');
    return { weight, bias: this.#param(`${name}.bias`, [channels], 'vector') };
  }

  #path(name: string): string {
    return this.#prefix === '' ? name : `${this.#prefix}.${name}`;
  }

  #param(name: string, shape: readonly number[], kind: ParamKind): Param {
    return this.#graph.param(this.#path(name), shape, kind);
  }
}

export function attention(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  heads: number,
  options: { causal?: boolean } = {},
): Tensor {
  const { causal = false } = options;
  return q.graph.record({ kind: 'attention', q, k, v, heads, causal }, q.shape);
}

export function activate(x: Tensor, fn: ActivationFn): Tensor {
  return x.graph.record({ kind: 'activation', x, fn }, x.shape);
}

export const silu = (x: Tensor): Tensor => activate(x, 'silu');
export const relu = (x: Tensor): Tensor => activate(x, 'relu');
export const tanh = (x: Tensor): Tensor => activate(x, 'tanh');

export function geglu(x: Tensor): Tensor {
  return x.graph.record({ kind: 'geglu', x }, [...x.shape.slice(0, -1), x.channels / 2]);
}

/** `a + b`; b of a's shape, or `[batch, 1, …, channels]`. */
export function add(a: Tensor, b: Tensor): Tensor {
  const spread = b.shape.map((n, i) => (i === 0 || i === b.shape.length - 1 ? a.shape[i] : n));
  const fits =
    a.shape.length === b.shape.length &&
    sameShape(b.shape, spread) &&
    (sameShape(a.shape, b.shape) || b.shape.slice(1, -1).every((n) => n === 1));
  if (!fits) throw new Error(`cannot add [${b.shape}] to [${a.shape}]`);
  return a.graph.record({ kind: 'add', a, b }, a.shape);
}

export function scale(x: Tensor, factor: number): Tensor {
  return x.graph.record({ kind: 'scale', x, factor }, x.shape);
}

/** Concatenation on channels. */
export function concat(a: Tensor, b: Tensor): Tensor {
  if (!sameShape(a.shape.slice(0, -1), b.shape.slice(0, -1)))
    throw new Error(`cannot join [${a.shape}] and [${b.shape}]`);
  return a.graph.record({ kind: 'concat', a, b }, [
    ...a.shape.slice(0, -1),
    a.channels + b.channels,
  ]);
}

/** Nearest neighbour to `[height, width]`. */
export function upsample(x: Tensor, size: readonly [number, number]): Tensor {
  const [batch, , , channels] = x.shape;
  return x.graph.record({ kind: 'upsample', x, size }, [batch, ...size, channels]);
}

export function sinusoid(
  t: Tensor,
  dim: number,
  options: { flip: boolean; shift: number },
): Tensor {
  const [batch, count = 1] = t.shape;
  return t.graph.record({ kind: 'sinusoid', t, dim, ...options }, [batch, count * dim]);
}

export function selectRow(x: Tensor, rows: Tensor): Tensor {
  return x.graph.record({ kind: 'selectRow', x, rows }, [x.shape[0], x.channels]);
}

export function reshape(x: Tensor, shape: readonly number[]): Tensor {
  if (sizeOf(shape) !== x.size) throw new Error(`cannot view [${x.shape}] as [${shape}]`);
  if (sameShape(shape, x.shape)) return x;
  return x.graph.record({ kind: 'reshape', x }, shape);
}
