import type {
  AttentionOp,
  FusedGraph,
  GroupNormOp,
  NormStatsOp,
  Op,
  Plan,
  Step,
  Tensor,
} from '../../graph/index.ts';
import * as L from '../../../wasm/engine/layout.ts';
import { frequencies } from '../backend.ts';
import { Code, Instruction } from './code.ts';
import { lowerProduct } from './lower-gemm.ts';
import { lowerWinograd, prefersWinograd } from './lower-winograd.ts';
import { activationCode, type Target } from './target.ts';
import type { WasmWeights } from './weights.ts';

/** Pixels over which group norm's moments are first taken: they stay in the second-level cache. */
const NORM_CHUNK = 64;
/** Elements of a tile of an op that does little per element. */
const TILE_ELEMENTS = 16384;
/** Rough costs in flops per element, for slicing alone. */
const LIGHT = 10;
const HEAVY = 40;

export interface Lowered {
  readonly once: Code;
  readonly perStep: Code;
  /** Tensors and the workspace of the largest step together. */
  readonly arenaBytes: number;
}

export function lower(
  graph: FusedGraph,
  plan: Plan,
  weights: WasmWeights,
  threads: number,
  rowBlock: number,
): Lowered {
  let used = 0;
  let most = 0;
  const target: Target = {
    weights,
    threads,
    rowBlock,
    at: (t) => plan.offset(graph.storage(t)),
    workspace: (bytes) => {
      const offset = plan.arenaBytes + used;
      used += Math.ceil(bytes / 64) * 64;
      most = Math.max(most, used);
      return offset;
    },
    tileRows: (rows, width) =>
      Math.max(1, Math.min(rows, Math.ceil(TILE_ELEMENTS / Math.max(1, width)))),
  };
  const lowerAll = (steps: readonly Step[]): Code => {
    const code = new Code();
    for (const step of steps) {
      used = 0;
      code.step = step;
      lowerStep(code, step.op, step.out, target);
    }
    return code;
  };
  const once = lowerAll(plan.once);
  const perStep = lowerAll(plan.perStep);
  return { once, perStep, arenaBytes: plan.arenaBytes + most };
}

function lowerStep(code: Code, op: Op, out: Tensor, target: Target): void {
  const { at, weights } = target;
  /** An op on rows of `width` elements of the output. */
  const rowwise = (kind: number, width: number, flops: number, fill: (i: Instruction) => void) => {
    const rows = out.size / width;
    const tileRows = target.tileRows(rows, width);
    const instruction = new Instruction(kind)
      .arena(L.OUT, at(out))
      .set(L.ROWS, rows)
      .set(L.BATCH_ROWS, rows / out.shape[0])
      .set(L.TILE_ROWS, tileRows)
      .set(L.C0, width);
    fill(instruction);
    code.add(instruction, Math.ceil(rows / tileRows), out.size * flops);
  };
  switch (op.kind) {
    case 'input':
      return;
    case 'gemm':
      return prefersWinograd(op, out, target.rowBlock)
        ? lowerWinograd(code, op, out, target)
        : lowerProduct(code, op, out, target);
    case 'normStats':
      return lowerNormStats(code, op, at(out), target);
    case 'groupNorm':
      return lowerGroupNorm(code, op, out, target);
    case 'attention':
      return lowerAttention(code, op, out, target);
    case 'layerNorm':
      return rowwise(L.OP_LAYER_NORM, out.channels, LIGHT, (i) =>
        i
          .arena(L.X, at(op.x))
          .set(L.WEIGHT, weights.get(op.weight).address)
          .set(L.BIAS, weights.get(op.bias).address)
          .float(L.EPS, op.eps),
      );
    case 'activation':
      return rowwise(L.OP_ACTIVATION, 1, HEAVY, (i) =>
        i.arena(L.X, at(op.x)).set(L.ACT, activationCode(op.fn)),
      );
    case 'scale':
      return rowwise(L.OP_SCALE, 1, LIGHT, (i) =>
        i.arena(L.X, at(op.x)).float(L.FACTOR, op.factor),
      );
    case 'add': {
      const spread = op.b.size !== op.a.size ? 1 : 0;
      return rowwise(L.OP_ADD, out.channels, LIGHT, (i) =>
        i.arena(L.X, at(op.a)).arena(L.Y, at(op.b)).set(L.SPREAD, spread),
      );
    }
    case 'concat':
      return rowwise(L.OP_CONCAT, out.channels, LIGHT, (i) =>
        i
          .arena(L.X, at(op.a))
          .arena(L.SKIP, at(op.b))
          .set(L.C0, op.a.channels)
          .set(L.C1, op.b.channels),
      );
    case 'geglu':
      return rowwise(L.OP_GEGLU, out.channels, HEAVY, (i) => i.arena(L.X, at(op.x)));
    case 'upsample':
      return rowwise(L.OP_UPSAMPLE, out.channels, LIGHT, (i) =>
        i
          .arena(L.X, at(op.x))
          .set(L.OUT_HEIGHT, op.size[0])
          .set(L.OUT_WIDTH, op.size[1])
          .set(L.STORED_HEIGHT, op.x.shape[1])
          .set(L.STORED_WIDTH, op.x.shape[2]),
      );
    case 'embed': {
      const [table, positions] = [weights.get(op.table), weights.get(op.positions)];
      return rowwise(L.OP_EMBED, out.channels, LIGHT, (i) =>
        i
          .arena(L.X, at(op.ids))
          .set(L.WEIGHT, table.address)
          .set(L.DTYPE, table.dtype)
          .set(L.POSITIONS, positions.address)
          .set(L.POSITIONS_DTYPE, positions.dtype)
          .set(L.PERIOD, op.ids.shape[1]),
      );
    }
    case 'sinusoid':
      return rowwise(L.OP_SINUSOID, op.dim, HEAVY, (i) => {
        i.arena(L.X, at(op.t)).set(L.FLIP, op.flip ? 1 : 0);
        code.constant(L.FREQUENCIES, frequencies(op));
      });
    case 'selectRow':
      return rowwise(L.OP_SELECT_ROW, out.channels, LIGHT, (i) =>
        i.arena(L.X, at(op.x)).arena(L.Y, at(op.rows)).set(L.BATCH_ROWS, op.x.shape[1]),
      );
  }
}

/** Scale and shift of every channel, `[batch, 2, channels]`, to `to`. */
function lowerNormStats(
  code: Code,
  op: NormStatsOp | GroupNormOp,
  to: number,
  target: Target,
): void {
  const { x, skip, groups } = op;
  const channels = x.channels + (skip?.channels ?? 0);
  const batch = x.shape[0];
  const batchRows = x.size / x.channels / batch;
  const chunks = Math.ceil(batchRows / NORM_CHUNK);
  const partials = target.workspace(batch * chunks * 2 * channels * 4);
  const common = (kind: number): Instruction =>
    new Instruction(kind)
      .set(L.C0, x.channels)
      .set(L.C1, skip?.channels ?? 0)
      .set(L.BATCH_ROWS, batchRows)
      .set(L.TILE_ROWS, NORM_CHUNK)
      .set(L.CHUNKS, chunks)
      .arena(L.PARTIALS, partials);
  code.add(
    common(L.OP_NORM_PARTIAL)
      .arena(L.X, target.at(x))
      .arena(L.SKIP, skip && target.at(skip)),
    batch * chunks,
    batch * batchRows * channels * LIGHT,
  );
  code.add(
    common(L.OP_NORM_FINISH)
      .set(L.GROUPS, groups)
      .float(L.EPS, op.eps)
      .set(L.WEIGHT, target.weights.get(op.weight).address)
      .set(L.BIAS, target.weights.get(op.bias).address)
      .arena(L.STATS, to),
    batch * groups,
    batch * chunks * channels * LIGHT,
  );
}

function lowerGroupNorm(code: Code, op: GroupNormOp, out: Tensor, target: Target): void {
  const { x, skip } = op;
  const stats = target.workspace(x.shape[0] * 2 * out.channels * 4);
  lowerNormStats(code, op, stats, target);
  const rows = out.size / out.channels;
  const tileRows = target.tileRows(rows, out.channels);
  code.add(
    new Instruction(L.OP_NORM_APPLY)
      .arena(L.OUT, target.at(out))
      .arena(L.X, target.at(x))
      .arena(L.SKIP, skip && target.at(skip))
      .set(L.C0, x.channels)
      .set(L.C1, skip?.channels ?? 0)
      .set(L.ROWS, rows)
      .set(L.BATCH_ROWS, rows / x.shape[0])
      .set(L.TILE_ROWS, tileRows)
      .set(L.ACT, activationCode(op.activation))
      .arena(L.STATS, stats),
    Math.ceil(rows / tileRows),
    out.size * HEAVY,
  );
}

/** Queries of a tile: eight panels, so that a chunk of keys is read once for 64 of them. */
const TILE_QUERIES = 64;

/** Keys of a chunk: with the head's width they fill the first-level cache; a multiple of 4 and 6. */
function keyChunk(headDim: number): number {
  return Math.max(48, Math.min(192, Math.floor(8192 / headDim / 48) * 48));
}

function lowerAttention(code: Code, op: AttentionOp, out: Tensor, target: Target): void {
  const { q, k, v, heads } = op;
  const [batch, queries, channels] = q.shape;
  const keys = k.shape[1];
  const dim = channels / heads;
  const block = (n: number): number => Math.ceil(n / target.rowBlock) * target.rowBlock;
  const chunk = keyChunk(dim);
  const packedKeys = target.workspace(batch * heads * block(keys) * dim * 4);
  const packedValues = target.workspace(batch * heads * block(dim) * block(keys) * 4);
  const packTiles = Math.ceil(keys / chunk);
  const lengths = target.workspace(batch * heads * packTiles * 4);
  const common = (kind: number): Instruction =>
    new Instruction(kind)
      .set(L.HEADS, heads)
      .set(L.HEAD_DIM, dim)
      .set(L.KEY_COUNT, keys)
      .set(L.KEY_CHUNK, chunk)
      .arena(L.PACKED_KEYS, packedKeys)
      .arena(L.PACKED_VALUES, packedValues)
      .arena(L.KEY_LENGTHS, lengths);
  code.add(
    common(L.OP_ATTENTION_PACK)
      .arena(L.KEYS, target.at(k))
      .arena(L.VALUES, target.at(v))
      .set(L.CHUNK_TILES, packTiles),
    batch * heads * packTiles,
    k.size * LIGHT,
  );
  const tiles = Math.ceil(queries / TILE_QUERIES);
  code.add(
    common(L.OP_ATTENTION)
      .arena(L.OUT, target.at(out))
      .arena(L.X, target.at(q))
      .set(L.QUERY_COUNT, queries)
      .set(L.CAUSAL, op.causal ? 1 : 0)
      .float(L.QUERY_SCALE, Math.LOG2E / Math.sqrt(dim))
      .set(L.TILE_QUERIES, TILE_QUERIES)
      .set(L.CHUNK_TILES, tiles),
    batch * heads * tiles,
    batch * queries * keys * channels * 4,
  );
}
