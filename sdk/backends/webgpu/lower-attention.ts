import type { AttentionOp, Tensor } from '../../graph/index.ts';
import { SDError } from '../../errors.ts';
import type { Context } from './context.ts';
import { float, grid, type Dispatch, type Operand } from './dispatch.ts';
import { alignUp, rowsOf, wordBytes, wordsOf } from './layout.ts';
import { ranges } from './lower-gemm.ts';

/** Bytes of staged keys and values; half of what every device has, so that two groups fit. */
const TILE_BYTES = 10240;
/** Threads that share a query; 16 queries of them are all the threads a group may have. */
const MOST_SPLIT = 16;
/** Words of a head beyond which keys and values take turns in one tile. */
const SHARED_FROM = 96;
/** The one tile then still fits beside the partial scores. */
const MOST_WORDS = 208;

/** How attention.wgsl is specialised for a head of `d4` words. */
export function attentionConstants(
  d4: number,
  causal: boolean,
  mostOwn: number,
): Record<string, number | boolean> {
  if (d4 > MOST_WORDS)
    throw new SDError('INTERNAL', `attention heads of ${4 * d4} channels are not built`);
  let split = 1;
  while (Math.ceil(d4 / split) > mostOwn && split < MOST_SPLIT) split *= 2;
  const own = Math.ceil(d4 / split);
  const row = own * split;
  const shared = row > SHARED_FROM;
  let keys = shared ? 4 : 32;
  while (keys > 4 && 2 * keys * row * 16 > TILE_BYTES) keys /= 2;
  const threads = Math.max(64, split > 4 ? 16 * split : 0);
  return {
    D4: d4,
    OWN: own,
    SPLIT: split,
    THREADS: threads,
    KEYS: keys,
    SHARED: shared,
    CAUSAL: causal,
    TILE_V: shared ? 1 : keys * row,
    PARTS: split > 1 ? threads : 1,
  };
}

export function lowerAttention(op: AttentionOp, out: Tensor, context: Context): Dispatch[] {
  const [batch, queries, channels] = op.q.shape;
  const width = channels / op.heads;
  const whole = [op.q, op.k, op.v, out].map((t) => context.whole(t));
  if (width % 4 === 0) return flash(op, whole, width / 4, context);

  // Heads that do not start at words are spread first, and drawn together afterwards.
  const d4 = wordsOf(width);
  const bytes = wordBytes(context.layout.storage);
  let offset = 0;
  const spread = [op.q, op.k, op.v, out].map((t): Operand => {
    const size = rowsOf(t) * op.heads * d4 * bytes;
    const operand: Operand = { from: 'scratch', offset, size };
    offset += alignUp(size);
    return operand;
  });
  const there = [op.q, op.k, op.v].map((t, i) =>
    regroup(whole[i], spread[i], rowsOf(t), op.heads, width, 4 * d4, channels, context),
  );
  const back = regroup(
    spread[3],
    whole[3],
    batch * queries,
    op.heads,
    4 * d4,
    width,
    channels,
    context,
  );
  return [...there, ...flash(op, spread, d4, context, width), back];
}

function flash(
  op: AttentionOp,
  operands: readonly Operand[],
  d4: number,
  context: Context,
  width = 4 * d4,
): Dispatch[] {
  const [batch, queries] = op.q.shape;
  const keys = op.k.shape[1];
  const constants = attentionConstants(d4, op.causal, context.headWords);
  const perGroup = Number(constants.THREADS) / Number(constants.SPLIT);
  const blocks = Math.ceil(queries / perGroup);
  const flopsPerBlock = batch * op.heads * perGroup * keys * 4 * width;
  const most = Math.max(1, Math.floor(context.maxFlops / flopsPerBlock));
  const n4 = op.heads * d4;
  return ranges(0, blocks, most).map(([begin, end]) => ({
    kernel: 'attention',
    constants,
    operands,
    uniforms: [queries, keys, n4, begin, float(Math.LOG2E / Math.sqrt(width))],
    grid: [end - begin, op.heads, batch],
    flops: (end - begin) * flopsPerBlock,
    bytes: batch * n4 * wordBytes(context.layout.storage) * (2 * queries + 2 * keys),
  }));
}

function regroup(
  from: Operand,
  to: Operand,
  rows: number,
  groups: number,
  fromGroup: number,
  toGroup: number,
  channels: number,
  context: Context,
): Dispatch {
  // The spread side has whole words per head; the other is the tensor itself.
  const from4 = fromGroup < toGroup ? wordsOf(channels) : (groups * fromGroup) / 4;
  const to4 = fromGroup < toGroup ? (groups * toGroup) / 4 : wordsOf(channels);
  const words = rows * to4;
  return {
    kernel: 'regroup',
    constants: {},
    operands: [from, to],
    uniforms: [words, from4, to4, fromGroup, toGroup, groups],
    grid: grid(Math.ceil(words / 64)),
    flops: 0,
    bytes: rows * (from4 + to4) * wordBytes(context.layout.storage),
  };
}
