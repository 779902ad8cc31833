import type { ActivationFn, GemmOp, Tensor } from '../../graph/index.ts';
import type { Context } from './context.ts';
import { grid, type Dispatch, type Operand } from './dispatch.ts';
import { rowsOf, wordBytes, wordsOf } from './layout.ts';
import { blocksOf, threadsOf, TILES, type Product, type Tile } from './tiles.ts';

/** Numbers of the functions in activation.wgsl. */
const ACTIVATIONS: Readonly<Record<ActivationFn, number>> = {
  silu: 1,
  gelu: 2,
  quick_gelu: 3,
  relu: 4,
  tanh: 5,
};

export function activationCode(fn: ActivationFn | undefined): number {
  return fn ? ACTIVATIONS[fn] : 0;
}

/** Sizes of a matrix product, a linear layer being a picture one pixel wide. */
interface Shapes {
  readonly rows: number;
  readonly rowsPerBatch: number;
  readonly n4: number;
  readonly columns4: number;
  readonly x4: number;
  readonly skip4: number;
  readonly channels: number;
  readonly taps: number;
  readonly kernel: readonly [number, number];
  readonly stride: number;
  /** Picture that the taps walk over, and the one in memory before upsampling. */
  readonly size: readonly [number, number];
  readonly source: readonly [number, number];
  readonly outWidth: number;
}

function shapesOf(op: GemmOp, out: Tensor): Shapes {
  const rows = rowsOf(out);
  const rowsPerBatch = rows / op.x.shape[0];
  const conv = op.geometry !== undefined;
  const source: [number, number] = conv ? [op.x.shape[1], op.x.shape[2]] : [rowsPerBatch, 1];
  const kernel = op.geometry?.kernel ?? [1, 1];
  return {
    rows,
    rowsPerBatch,
    n4: wordsOf(out.channels),
    columns4: wordsOf(op.weight.shape[0]),
    x4: wordsOf(op.x.channels),
    skip4: wordsOf(op.skip?.channels ?? 0),
    channels: op.x.channels + (op.skip?.channels ?? 0),
    taps: kernel[0] * kernel[1],
    kernel,
    stride: op.geometry?.stride ?? 1,
    size: op.upsample ?? source,
    source,
    outWidth: conv ? out.shape[2] : 1,
  };
}

/** A linear layer over an upsampled picture walks it as a 1×1 convolution. */
function withGeometry(op: GemmOp): GemmOp {
  if (!op.upsample || op.geometry) return op;
  const padding = { top: 0, right: 0, bottom: 0, left: 0 };
  const geometry = { kernel: [1, 1] as const, stride: 1, padding, wrap: { x: false, y: false } };
  return { ...op, geometry };
}

export function lowerGemm(given: GemmOp, out: Tensor, context: Context): Dispatch[] {
  const op = withGeometry(given);
  const s = shapesOf(op, out);
  const flopsPerRow = 2 * s.taps * s.channels * op.weight.shape[0];
  const product: Product = {
    rows: s.rows,
    words: s.columns4,
    channels: 4 * (s.x4 + s.skip4),
    taps: s.taps,
    geglu: op.geglu ?? false,
  };
  const choice = context.choose(product);
  const tile = TILES[choice.tile];
  const most = Math.max(1, Math.floor(context.maxFlops / flopsPerRow / tile.rows)) * tile.rows;
  const cuts = rowCuts(op, out, s, most, context);
  const blocks = blocksOf(product, tile);
  const perSplit = Math.ceil(blocks / (cuts.length > 1 ? 1 : choice.splits));
  const splits = Math.ceil(blocks / perSplit);

  return cuts.flatMap(([begin, end]): Dispatch[] => {
    const rows = end - begin;
    const source = sourceRows(op, s, begin, end);
    const x = context.window(op.x, source.begin * s.x4, source.end * s.x4);
    const skip = context.window(op.skip, source.begin * s.skip4, source.end * s.skip4);
    const residual = context.window(op.residual, begin * s.n4, end * s.n4);
    const result = context.window(out, begin * s.n4, end * s.n4);
    const weight = context.param(op.weight);
    const { dtype, dataBytes } = context.slot(op.weight);
    const uniforms = [
      begin,
      end,
      s.rowsPerBatch,
      s.n4,
      s.columns4,
      s.x4,
      s.skip4,
      4 * s.x4 - op.x.channels,
      s.channels,
      s.taps * s.channels,
      blocks / s.taps,
      perSplit,
      blocks,
      dataBytes / 4,
      ...s.size,
      ...s.source,
      s.outWidth,
      s.kernel[1],
      s.stride,
      op.geometry?.padding.top ?? 0,
      op.geometry?.padding.left ?? 0,
      op.geometry?.wrap.x ? 1 : 0,
      op.geometry?.wrap.y ? 1 : 0,
      x.origin,
      skip.origin,
      residual.origin,
      result.origin,
      splits,
    ];
    const epilogue = {
      BIAS: op.bias !== undefined,
      CHANNEL_BIAS: op.channelBias !== undefined,
      RESIDUAL: op.residual !== undefined,
      GEGLU: op.geglu ?? false,
      OUT_ACT: activationCode(op.outputActivation),
    };
    const loader = {
      ...tileConstants(tile),
      CONV: op.geometry !== undefined,
      SKIP: op.skip !== undefined,
      NORM: op.norm !== undefined,
      UPSAMPLE: op.upsample !== undefined,
      WRAP: (op.geometry?.wrap.x || op.geometry?.wrap.y) ?? false,
      IN_ACT: activationCode(op.inputActivation),
    };
    const inputs = [x.operand, skip.operand, context.whole(op.norm), weight];
    const finish = [
      context.param(op.bias),
      context.whole(op.channelBias),
      residual.operand,
      result.operand,
    ];
    const bytes = wordBytes(context.layout.storage);
    const moved =
      (source.end - source.begin) * (s.x4 + s.skip4) * bytes +
      rows * s.n4 * bytes * (op.residual ? 2 : 1) +
      (weight.from === 'weights' ? weight.size : 0);
    const columns = op.geglu ? tile.words / 2 : tile.words;
    const groups = [Math.ceil(s.n4 / columns), Math.ceil(rows / tile.rows)] as const;
    const flops = rows * flopsPerRow;
    if (splits === 1)
      return [
        {
          kernel: 'gemm',
          weights: dtype,
          constants: { ...loader, ...epilogue },
          operands: [...inputs, ...finish],
          uniforms,
          grid: [...groups, 1],
          flops,
          bytes: moved,
        },
      ];
    const size = splits * rows * s.columns4 * 16;
    const partials: Operand = { from: 'scratch', offset: 0, size };
    return [
      {
        kernel: 'gemmSplit',
        weights: dtype,
        constants: { ...loader, ...epilogue, BIAS: false, OUT_ACT: 0 },
        operands: [...inputs, partials],
        uniforms,
        grid: [...groups, splits],
        flops,
        bytes: moved + size,
      },
      {
        kernel: 'gemmReduce',
        weights: dtype,
        constants: epilogue,
        operands: [weight, ...finish, partials],
        uniforms,
        grid: grid(Math.ceil((rows * s.n4) / 64)),
        flops: splits * rows * op.weight.shape[0],
        bytes: size + rows * s.n4 * bytes,
      },
    ];
  });
}

function tileConstants(tile: Tile): Record<string, number> {
  const { rows, words, depth, threadRows, threadWords } = tile;
  const threads = threadsOf(tile);
  return {
    BM: rows,
    BN4: words,
    BK4: depth,
    TM: threadRows,
    TN4: threadWords,
    THREADS_M: rows / threadRows,
    THREADS_N: words / threadWords,
    THREADS: threads,
    FETCH_A: (rows * depth) / threads,
    FETCH_B: (words * 4 * depth) / threads,
  };
}

/** Ranges of rows, each small enough to be one dispatch; whole picture rows of one picture where windows are needed. */
function rowCuts(
  op: GemmOp,
  out: Tensor,
  s: Shapes,
  most: number,
  context: Context,
): [number, number][] {
  const large = [op.x, op.skip, op.residual, out].some((t) => context.isLarge(t));
  if (!large) return ranges(0, s.rows, most);
  const width = s.outWidth;
  const lines = s.rowsPerBatch / width;
  const fitsFrom = (line: number, count: number, first: number): boolean => {
    const begin = first + line * width;
    const end = first + Math.min(line + count, lines) * width;
    const source = sourceRows(op, s, begin, end);
    const span = source.end - source.begin;
    return (
      (end - begin) * s.n4 <= context.windowWords &&
      (!context.isLarge(op.x) || span * s.x4 <= context.windowWords) &&
      (!context.isLarge(op.skip) || span * s.skip4 <= context.windowWords)
    );
  };
  const cuts: [number, number][] = [];
  for (let first = 0; first < s.rows; first += s.rowsPerBatch)
    for (let line = 0; line < lines;) {
      let count = Math.max(1, Math.min(lines - line, Math.floor(most / width)));
      while (count > 1 && !fitsFrom(line, count, first)) count = Math.ceil(count / 2);
      cuts.push([first + line * width, first + (line + count) * width]);
      line += count;
    }
  return cuts;
}

/** From `begin` to `end` in equal steps of at most `step`. */
export function ranges(begin: number, end: number, step: number): [number, number][] {
  const cuts: [number, number][] = [];
  for (let at = begin; at < end; at += step) cuts.push([at, Math.min(at + step, end)]);
  return cuts;
}

/** The pixels of x in memory between which all lie that some output rows meet. */
function sourceRows(
  op: GemmOp,
  s: Shapes,
  begin: number,
  end: number,
): { begin: number; end: number } {
  if (!op.geometry) return { begin, end };
  const { padding, wrap } = op.geometry;
  const [height] = s.size;
  const [sourceHeight, sourceWidth] = s.source;
  const firstImage = Math.floor(begin / s.rowsPerBatch);
  const lastImage = Math.floor((end - 1) / s.rowsPerBatch);
  const line = (row: number): number => Math.floor((row % s.rowsPerBatch) / s.outWidth) * s.stride;
  let top = Math.max(0, line(begin) - padding.top);
  let bottom = Math.min(height - 1, line(end - 1) - padding.top + s.kernel[0] - 1);
  const wraps =
    wrap.y && (line(begin) < padding.top || line(end - 1) - padding.top + s.kernel[0] > height);
  if (wraps || firstImage !== lastImage) [top, bottom] = [0, height - 1];
  top = Math.floor((top * sourceHeight) / height);
  bottom = Math.floor((bottom * sourceHeight) / height);
  return {
    begin: (firstImage * sourceHeight + top) * sourceWidth,
    end: (lastImage * sourceHeight + bottom + 1) * sourceWidth,
  };
}
