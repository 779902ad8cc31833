import type {
  ActivationFn,
  AddOp,
  EmbedOp,
  GegluOp,
  SelectRowOp,
  SinusoidOp,
  Tensor,
  UpsampleOp,
} from '../../graph/index.ts';
import { frequencies } from '../backend.ts';
import type { Context } from './context.ts';
import { float, grid, NOTHING, type Dispatch, type Operand } from './dispatch.ts';
import { rowsOf, wordBytes, wordsOf } from './layout.ts';
import { activationCode, ranges } from './lower-gemm.ts';

/** Threads of a workgroup in grid.wgsl. */
const THREADS = 64;
/** Work of one word as a dispatch's size counts it: mostly the time to move it. */
const FLOPS_PER_WORD = 64;

function wordsIn(t: Tensor): number {
  return rowsOf(t) * wordsOf(t.channels);
}

/** Ranges of a result's words, each small enough for one dispatch and one window. */
function wordRanges(tensors: readonly (Tensor | undefined)[], out: Tensor, context: Context) {
  const n4 = wordsOf(out.channels);
  const widest = Math.max(...tensors.map((t) => (t ? wordsOf(t.channels) : 1)), n4);
  const large = [...tensors, out].some((t) => context.isLarge(t));
  const rows = Math.min(
    large ? Math.floor(context.windowWords / widest) : Infinity,
    Math.ceil(context.maxFlops / FLOPS_PER_WORD / n4),
    rowsOf(out),
  );
  return ranges(0, wordsIn(out), Math.max(1, rows) * n4);
}

function base(begin: number, end: number, streams: number, context: Context) {
  return {
    grid: grid(Math.ceil((end - begin) / THREADS)),
    flops: (end - begin) * 4,
    bytes: (end - begin) * streams * wordBytes(context.layout.storage),
  };
}

/** `fn(factor · x)`. */
export function lowerActivation(
  x: Tensor,
  { fn, factor = 1 }: { fn?: ActivationFn; factor?: number },
  out: Tensor,
  context: Context,
): Dispatch[] {
  return wordRanges([x], out, context).map(([begin, end]) => {
    const a = context.window(x, begin, end);
    const result = context.window(out, begin, end);
    return {
      kernel: 'activation',
      constants: { FN: activationCode(fn), SPREAD: false },
      operands: [a.operand, result.operand],
      uniforms: [begin, end, a.origin, 0, result.origin, 0, 0, float(factor)],
      ...base(begin, end, 2, context),
    };
  });
}

export function lowerAdd(op: AddOp, out: Tensor, context: Context): Dispatch[] {
  const spread = op.a.size !== op.b.size;
  return wordRanges([op.a, spread ? undefined : op.b], out, context).map(([begin, end]) => {
    const a = context.window(op.a, begin, end);
    const b = spread
      ? { operand: context.whole(op.b), origin: 0 }
      : context.window(op.b, begin, end);
    const result = context.window(out, begin, end);
    return {
      kernel: 'add',
      constants: { FN: 0, SPREAD: spread },
      operands: [a.operand, b.operand, result.operand],
      uniforms: [
        begin,
        end,
        a.origin,
        b.origin,
        result.origin,
        wordsOf(out.channels),
        wordsIn(out) / out.shape[0],
        0,
      ],
      ...base(begin, end, 3, context),
    };
  });
}

/** Channels of x and then of skip, on the way through a group norm and an activation if asked. */
export function lowerJoin(
  x: Tensor,
  skip: Tensor | undefined,
  out: Tensor,
  context: Context,
  through: { norm?: Operand; activation?: ActivationFn } = {},
): Dispatch[] {
  const n4 = wordsOf(out.channels);
  const [x4, skip4] = [wordsOf(x.channels), wordsOf(skip?.channels ?? 0)];
  return wordRanges([x, skip], out, context).map(([begin, end]) => {
    const [row, lastRow] = [begin / n4, end / n4];
    const a = context.window(x, row * x4, lastRow * x4);
    const b = context.window(skip, row * skip4, lastRow * skip4);
    const result = context.window(out, begin, end);
    return {
      kernel: 'join',
      constants: {
        SKIP: skip !== undefined,
        NORM: through.norm !== undefined,
        FN: activationCode(through.activation),
      },
      operands: [a.operand, b.operand, through.norm ?? NOTHING, result.operand],
      uniforms: [
        begin,
        end,
        a.origin,
        b.origin,
        result.origin,
        n4,
        x4,
        skip4,
        x.channels,
        out.channels,
        wordsIn(out) / out.shape[0],
      ],
      ...base(begin, end, 2, context),
    };
  });
}

export function lowerGeglu(op: GegluOp, out: Tensor, context: Context): Dispatch[] {
  return wordRanges([], out, context).map(([begin, end]) => ({
    kernel: 'geglu',
    constants: {},
    operands: [context.whole(op.x), context.whole(out)],
    uniforms: [begin, end, wordsOf(out.channels), wordsOf(op.x.channels), out.channels],
    ...base(begin, end, 3, context),
  }));
}

export function lowerUpsample(op: UpsampleOp, out: Tensor, context: Context): Dispatch[] {
  const [, height, width] = op.x.shape;
  return wordRanges([], out, context).map(([begin, end]) => ({
    kernel: 'upsample',
    constants: {},
    operands: [context.whole(op.x), context.whole(out)],
    uniforms: [begin, end, wordsOf(out.channels), height, width, ...op.size],
    ...base(begin, end, 2, context),
  }));
}

export function lowerEmbed(op: EmbedOp, out: Tensor, context: Context): Dispatch[] {
  const words = wordsIn(out);
  const n4 = wordsOf(out.channels);
  const vocabulary = op.table.shape[0];
  const { buffer, offset, bytes, dtype } = context.slot(op.table);
  const rowBytes = bytes / vocabulary;
  // Windows start at multiples of what both a row and a binding are aligned to.
  const step = Math.floor(context.maxBinding / rowBytes / 256) * 256;
  return ranges(0, vocabulary, Math.max(256, step)).map(([begin, end]) => ({
    kernel: 'embed',
    constants: { TABLE_F32: dtype === 'f32' },
    operands: [
      context.whole(op.ids),
      {
        from: 'weights',
        buffer,
        offset: offset + begin * rowBytes,
        size: (end - begin) * rowBytes,
      },
      context.param(op.positions),
      context.whole(out),
    ],
    uniforms: [words, n4, op.ids.shape[1], begin, end - begin, vocabulary],
    ...base(0, words, 3, context),
  }));
}

export function lowerSinusoid(op: SinusoidOp, out: Tensor, context: Context): Dispatch[] {
  const words = wordsIn(out);
  return [
    {
      kernel: 'sinusoid',
      constants: {},
      operands: [
        context.whole(op.t),
        { from: 'constant', data: frequencies(op) },
        context.whole(out),
      ],
      uniforms: [words, op.dim, out.channels / op.dim, wordsOf(out.channels), op.flip ? 1 : 0],
      ...base(0, words, 1, context),
    },
  ];
}

export function lowerSelectRow(op: SelectRowOp, out: Tensor, context: Context): Dispatch[] {
  const words = wordsIn(out);
  return [
    {
      kernel: 'selectRow',
      constants: {},
      operands: [context.whole(op.x), context.whole(op.rows), context.whole(out)],
      uniforms: [words, wordsOf(out.channels), op.x.shape[1]],
      ...base(0, words, 2, context),
    },
  ];
}
