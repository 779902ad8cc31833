import type { Graph } from './graph.ts';
import { inputsOf, paramsOf } from './ops.ts';
import type { ConvOp, GegluOp, GemmOp, GroupNormOp, LinearOp, NormStatsOp, Op } from './ops.ts';
import { sameShape, Tensor, type Param } from './tensor.ts';

/** One op to run and the tensor it makes. */
export interface Step {
  readonly op: Op;
  readonly out: Tensor;
}

/** The steps of a model in order, with every passenger op riding in a matrix product. */
export interface FusedGraph {
  readonly steps: readonly Step[];
  readonly inputs: ReadonlyMap<string, Tensor>;
  readonly outputs: ReadonlyMap<string, Tensor>;
  /** The parameters in the order in which the steps first read them. */
  readonly params: ReadonlyMap<string, Param>;
  /** The tensor whose memory `t` shares: `t` itself, unless `t` is a view (reshape). */
  storage(t: Tensor): Tensor;
}

export interface FuseOptions {
  /**
   * Where a group norm before a matrix product is applied: in the product's `loader` (a `normStats`
   * step makes scale and shift), or by a step of its own that writes the normalised tensor
   * (`apply`), which costs a pass over memory and saves applying it once per kernel tap.
   */
  readonly norm: 'loader' | 'apply';
}

/** Panels are 8 columns wide, so halves of a GEGLU pair up only in multiples of 8. */
const PANEL = 8;

type MatrixOp = LinearOp | ConvOp;
type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/**
 * Rewrites the primitive ops of a model into the fused steps that backends run. The order of steps
 * is the order of the ops; a fused step stands where its last passenger stood.
 */
export function fuse(graph: Graph, options: FuseOptions): FusedGraph {
  const { ops, tensors } = graph;
  const users = ops.map((): number[] => []);

  const storage = (t: Tensor): Tensor => {
    const op = ops[t.id];
    return op?.kind === 'reshape' ? storage(op.x) : t;
  };
  ops.forEach((op, i) => {
    if (op.kind === 'reshape') return;
    for (const t of inputsOf(op)) users[storage(t).id].push(i);
  });
  const kept = new Set([...graph.outputs.values()].map((t) => storage(t).id));
  const producer = (t: Tensor) => ops[storage(t).id];
  /** The only op that reads t, or -1. */
  const onlyUser = (t: Tensor): number => {
    const { id } = storage(t);
    return users[id].length === 1 && !kept.has(id) ? users[id][0] : -1;
  };
  const isMatrix = (i: number) => ops[i].kind === 'linear' || ops[i].kind === 'conv';
  const readBy = (t: Tensor, test: (user: number) => boolean): boolean =>
    !kept.has(storage(t).id) && users[storage(t).id].every(test);

  /** Ops that need no step of their own, and the steps that stand at an op's place. */
  const absorbed = new Set<number>();
  const placed = new Map<number, Step[]>();
  const place = (at: number, step: Step): void => {
    placed.set(at, [...(placed.get(at) ?? []), step]);
  };

  // Joins and upsampling vanish where every reader can read through them.
  ops.forEach((op, i) => {
    if (
      op.kind === 'concat' &&
      readBy(tensors[i], (u) => isMatrix(u) || ops[u].kind === 'groupNorm')
    )
      absorbed.add(i);
    if (op.kind === 'upsample' && readBy(tensors[i], (u) => ops[u].kind === 'conv'))
      absorbed.add(i);
  });
  const sources = (t: Tensor): { x: Tensor; skip?: Tensor } => {
    const op = producer(t);
    return op.kind === 'concat' && absorbed.has(storage(t).id) ? { x: op.a, skip: op.b } : { x: t };
  };

  let nextId = ops.length;
  const statsOf = (norm: GroupNormOp): Tensor => {
    const { x, skip } = sources(norm.x);
    const { weight, bias, groups, eps } = norm;
    const channels = norm.x.channels;
    const out = new Tensor(graph, nextId++, [norm.x.shape[0], 2, channels]);
    const op: NormStatsOp = { kind: 'normStats', x, skip, weight, bias, groups, eps };
    place(ops.indexOf(norm), { op, out });
    return out;
  };

  /** Follows the input of a matrix product upwards as far as its loader reaches. */
  const loader = (
    matrix: MatrixOp,
  ): Pick<GemmOp, 'x' | 'skip' | 'upsample' | 'norm' | 'inputActivation'> => {
    const top = producer(matrix.x);
    if (top.kind === 'upsample' && absorbed.has(storage(matrix.x).id))
      return { x: top.x, upsample: top.size };
    if (options.norm === 'loader') {
      const active = top.kind === 'activation' && onlyUser(matrix.x) >= 0 ? top : undefined;
      const normed = active ? active.x : matrix.x;
      const norm = producer(normed);
      if (norm.kind === 'groupNorm' && onlyUser(normed) >= 0) {
        absorbed.add(storage(normed).id);
        if (active) absorbed.add(storage(matrix.x).id);
        return { ...sources(norm.x), norm: statsOf(norm), inputActivation: active?.fn };
      }
    }
    return sources(matrix.x);
  };

  /** Follows the output of a matrix product downwards as far as its epilogue reaches. */
  const epilogue = (gemm: Mutable<GemmOp>, start: number): number => {
    let at = start;
    while (gemm.outputActivation === undefined && !gemm.geglu) {
      const user = onlyUser(tensors[at]);
      if (user < 0 || absorbed.has(user) || placed.has(user)) break;
      const next = ops[user];
      if (next.kind === 'add') {
        const mine = storage(next.a).id === storage(tensors[at]).id;
        const other = mine ? next.b : next.a;
        const spread = !sameShape(next.a.shape, next.b.shape);
        if (gemm.residual || (spread && (!mine || gemm.channelBias))) break;
        if (spread) gemm.channelBias = other;
        else gemm.residual = other;
      } else if (next.kind === 'activation') gemm.outputActivation = next.fn;
      else if (isFusableGeglu(next, gemm)) gemm.geglu = true;
      else break;
      absorbed.add(at);
      at = user;
    }
    return at;
  };

  // Later products first: of two products that meet in an addition, the later one carries it.
  for (let i = ops.length - 1; i >= 0; i--) {
    const op = ops[i];
    if (op.kind === 'linear' || op.kind === 'conv') {
      const { weight, bias } = op;
      const geometry = op.kind === 'conv' && !isPointwise(op) ? op.geometry : undefined;
      const gemm: Mutable<GemmOp> = { kind: 'gemm', ...loader(op), weight, bias, geometry };
      const at = epilogue(gemm, i);
      place(at, { op: gemm, out: tensors[at] });
    } else if (op.kind === 'groupNorm' && !absorbed.has(i)) {
      const user = onlyUser(tensors[i]);
      const next = user >= 0 ? ops[user] : undefined;
      const activation = next?.kind === 'activation' ? next.fn : undefined;
      const at = activation && user >= 0 ? user : i;
      if (at !== i) absorbed.add(i);
      place(at, { op: { ...op, ...sources(op.x), activation }, out: tensors[at] });
    }
  }

  const steps: Step[] = [];
  ops.forEach((op, i) => {
    const here = placed.get(i);
    if (here) steps.push(...here);
    else if (
      !absorbed.has(i) &&
      op.kind !== 'reshape' &&
      op.kind !== 'linear' &&
      op.kind !== 'conv'
    )
      steps.push({ op, out: tensors[i] });
  });

  const params = new Map<string, Param>();
  for (const { op } of steps) for (const param of paramsOf(op)) params.set(param.name, param);
  return { steps, inputs: graph.inputs, outputs: graph.outputs, params, storage };
}

/** A 1×1 convolution that keeps the size is a linear layer over pixels. */
function isPointwise({ geometry: { kernel, stride, padding } }: ConvOp): boolean {
  const padded = padding.top + padding.right + padding.bottom + padding.left;
  return kernel[0] === 1 && kernel[1] === 1 && stride === 1 && padded === 0;
}

function isFusableGeglu(op: { kind: string }, gemm: GemmOp): op is GegluOp {
  return (
    op.kind === 'geglu' &&
    !gemm.channelBias &&
    !gemm.residual &&
    (op as GegluOp).x.channels % (2 * PANEL) === 0
  );
}
