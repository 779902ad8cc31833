import type { GroupNormOp, LayerNormOp, NormStatsOp, Tensor } from '../../graph/index.ts';
import type { Context } from './context.ts';
import { float, type Dispatch, type Operand } from './dispatch.ts';
import { rowsOf, wordBytes, wordsOf } from './layout.ts';
import { ranges } from './lower-gemm.ts';
import { lowerJoin } from './lower-pointwise.ts';

/** Elements of a group above which one workgroup per group would be too few. */
const ONE_STAGE = 65536;
/** Workgroups that the first of two stages is cut into, and the fewest pixels of one. */
const PARTS = 512;
const FEWEST_PIXELS = 64;
/** Words side by side in groupParts. */
const LANES = 16;

/** Scale and shift per channel, into `stats`. */
export function lowerStats(
  op: NormStatsOp | GroupNormOp,
  stats: Operand,
  context: Context,
  scratchFrom = 0,
): Dispatch[] {
  const batch = op.x.shape[0];
  const pixels = rowsOf(op.x) / batch;
  const x4 = wordsOf(op.x.channels);
  const skip4 = wordsOf(op.skip?.channels ?? 0);
  const words = x4 + skip4;
  const channels = op.x.channels + (op.skip?.channels ?? 0);
  const groupChannels = channels / op.groups;
  let lanes = 1;
  while (lanes < groupChannels / 4 + 1 && lanes < 64) lanes *= 2;

  const large = context.isLarge(op.x) || context.isLarge(op.skip);
  const twoStage = large || pixels * groupChannels > ONE_STAGE;
  const columns = Math.ceil(words / LANES);
  const chunk = Math.max(FEWEST_PIXELS, Math.ceil((pixels * columns * batch) / PARTS));
  const chunks = Math.ceil(pixels / chunk);
  const constants = { SKIP: op.skip !== undefined };
  const uniforms = (firstChunk: number, xOrigin: number, skipOrigin: number): number[] => [
    pixels,
    x4,
    skip4,
    op.x.channels,
    channels,
    groupChannels,
    lanes,
    chunk,
    chunks,
    firstChunk,
    xOrigin,
    skipOrigin,
    float(op.eps),
  ];
  const [gamma, beta] = [context.param(op.weight), context.param(op.bias)];
  const bytes = batch * pixels * words * wordBytes(context.layout.storage);
  const flops = batch * pixels * channels * 4;

  if (!twoStage)
    return [
      {
        kernel: 'groupStats',
        constants,
        operands: [context.whole(op.x), context.whole(op.skip), gamma, beta, stats],
        uniforms: uniforms(0, 0, 0),
        grid: [op.groups, batch, 1],
        flops,
        bytes,
      },
    ];

  const parts: Operand = {
    from: 'scratch',
    offset: scratchFrom,
    size: batch * chunks * 2 * words * 16,
  };
  const perWindow = large
    ? Math.max(1, Math.floor(context.windowWords / (Math.max(x4, skip4) * chunk)))
    : batch * chunks;
  const dispatches = ranges(0, batch * chunks, perWindow).map(([begin, end]): Dispatch => {
    const pixelOf = (c: number): number =>
      Math.floor(c / chunks) * pixels + Math.min((c % chunks) * chunk, pixels);
    const to = pixelOf(end - 1) + chunk;
    const x = context.window(op.x, pixelOf(begin) * x4, to * x4);
    const skip = context.window(op.skip, pixelOf(begin) * skip4, to * skip4);
    const share = (end - begin) / (batch * chunks);
    return {
      kernel: 'groupParts',
      constants,
      operands: [x.operand, skip.operand, parts],
      uniforms: uniforms(begin, x.origin, skip.origin),
      grid: [columns, end - begin, 1],
      flops: flops * share,
      bytes: bytes * share,
    };
  });
  dispatches.push({
    kernel: 'groupFinish',
    constants,
    operands: [gamma, beta, parts, stats],
    uniforms: uniforms(0, 0, 0),
    grid: [op.groups, batch, 1],
    flops: batch * chunks * channels * 4,
    bytes: 2 * batch * chunks * words * 32,
  });
  return dispatches;
}

/** A group norm that no matrix product applies: statistics, then a pass over the tensor. */
export function lowerGroupNorm(op: GroupNormOp, out: Tensor, context: Context): Dispatch[] {
  const words = wordsOf(op.x.channels) + wordsOf(op.skip?.channels ?? 0);
  const stats: Operand = { from: 'scratch', offset: 0, size: 2 * op.x.shape[0] * words * 16 };
  const behind = Math.ceil(stats.size / 256) * 256;
  return [
    ...lowerStats(op, stats, context, behind),
    ...lowerJoin(op.x, op.skip, out, context, { norm: stats, activation: op.activation }),
  ];
}

const MOST_ROWS = 65535;

export function lowerLayerNorm(op: LayerNormOp, out: Tensor, context: Context): Dispatch[] {
  const rows = rowsOf(op.x);
  const n4 = wordsOf(op.x.channels);
  return ranges(0, rows, MOST_ROWS).map(([begin, end]) => ({
    kernel: 'layerNorm',
    constants: {},
    operands: [
      context.whole(op.x),
      context.param(op.weight),
      context.param(op.bias),
      context.whole(out),
    ],
    uniforms: [begin, end - begin, n4, op.x.channels, float(op.eps)],
    grid: [end - begin, 1, 1],
    flops: (end - begin) * op.x.channels * 8,
    bytes: 2 * (end - begin) * n4 * wordBytes(context.layout.storage),
  }));
}
