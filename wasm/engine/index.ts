// The engine: one flat program in linear memory, walked by all threads together. Each instruction is
// cut into tiles; threads take them from a shared counter and meet at a barrier before the next one.
// Nothing is allocated here and nothing static is written: threads share one memory.
import { attentionTile, packAttentionTile } from './attention';
import { gemmTile } from './gemm';
import {
  ARRIVED, CANCEL, CONTROL, EPOCH, FIRST, INSTRUCTION, JOB_COUNT, JOB_PROGRAM, JOB_THREADS, OP, OP_ACTIVATION,
  OP_ADD, OP_ATTENTION, OP_ATTENTION_PACK, OP_CONCAT, OP_EMBED, OP_GEGLU, OP_GEMM, OP_LAYER_NORM,
  OP_NORM_APPLY, OP_NORM_FINISH, OP_NORM_PARTIAL, OP_SCALE, OP_SELECT_ROW, OP_SINUSOID, OP_UPSAMPLE,
  OP_WINOGRAD_INPUT, OP_WINOGRAD_PRODUCT, PHASE,
  QUIT, STOPPED, TILE, TILES,
} from './layout';
import { winogradInputTile, winogradProductTile } from './winograd';
import { layerNormTile, normApplyTile, normFinishTile, normPartialTile } from './norm';
import {
  activationTile, addTile, concatTile, embedTile, gegluTile, scaleTile, selectRowTile, sinusoidTile, upsampleTile,
} from './pointwise';

/** Turns of the loop before a waiting thread goes to sleep: some 20 µs. */
const SPINS = 20000;

/** The life of a helper thread: waits for a job, walks it with the others, until QUIT. */
export function serve(scratch: usize, epoch: i32): void {
  for (;;) {
    for (let spin = SPINS; spin > 0 && atomic.load<i32>(CONTROL, EPOCH) == epoch; spin--) {}
    while (atomic.load<i32>(CONTROL, EPOCH) == epoch) atomic.wait<i32>(CONTROL + EPOCH, epoch, -1);
    epoch = atomic.load<i32>(CONTROL, EPOCH);
    if (atomic.load<i32>(CONTROL, QUIT)) return;
    walk(scratch);
  }
}

/** Walks the job in the control block. Returns 1 when it was cancelled on the way. */
export function walk(scratch: usize): i32 {
  const threads = load<i32>(CONTROL, JOB_THREADS);
  let op = load<usize>(CONTROL, JOB_PROGRAM);
  for (let count = load<i32>(CONTROL, JOB_COUNT); count > 0; count--, op += INSTRUCTION) {
    const tiles = load<i32>(op, TILES), first = load<i32>(op, FIRST);
    for (;;) {
      const index = atomic.add<i32>(CONTROL, 1, TILE);
      if (index >= tiles || atomic.load<i32>(CONTROL, CANCEL)) break;
      run(op, first + index, scratch);
    }
    if (meet(threads)) return 1;
  }
  return 0;
}

/** The barrier. All threads leave it with the same verdict on whether to go on. */
function meet(threads: i32): i32 {
  const phase = atomic.load<i32>(CONTROL, PHASE);
  if (atomic.add<i32>(CONTROL, 1, ARRIVED) + 1 == threads) {
    atomic.store<i32>(CONTROL, 0, ARRIVED);
    atomic.store<i32>(CONTROL, 0, TILE);
    atomic.store<i32>(CONTROL, atomic.load<i32>(CONTROL, CANCEL), STOPPED);
    atomic.add<i32>(CONTROL, 1, PHASE);
    if (threads > 1) atomic.notify(CONTROL + PHASE, -1);
  } else {
    for (let spin = SPINS; spin > 0; spin--) if (atomic.load<i32>(CONTROL, PHASE) != phase) break;
    while (atomic.load<i32>(CONTROL, PHASE) == phase) atomic.wait<i32>(CONTROL + PHASE, phase, -1);
  }
  return atomic.load<i32>(CONTROL, STOPPED);
}

function run(op: usize, index: i32, scratch: usize): void {
  switch (load<i32>(op, OP)) {
    case OP_GEMM: return gemmTile(op, index, scratch);
    case OP_NORM_PARTIAL: return normPartialTile(op, index);
    case OP_NORM_FINISH: return normFinishTile(op, index);
    case OP_NORM_APPLY: return normApplyTile(op, index);
    case OP_LAYER_NORM: return layerNormTile(op, index);
    case OP_ATTENTION_PACK: return packAttentionTile(op, index, scratch);
    case OP_ATTENTION: return attentionTile(op, index, scratch);
    case OP_ACTIVATION: return activationTile(op, index);
    case OP_ADD: return addTile(op, index);
    case OP_SCALE: return scaleTile(op, index);
    case OP_CONCAT: return concatTile(op, index);
    case OP_GEGLU: return gegluTile(op, index);
    case OP_UPSAMPLE: return upsampleTile(op, index);
    case OP_EMBED: return embedTile(op, index);
    case OP_SINUSOID: return sinusoidTile(op, index);
    case OP_SELECT_ROW: return selectRowTile(op, index);
    case OP_WINOGRAD_INPUT: return winogradInputTile(op, index, scratch);
    case OP_WINOGRAD_PRODUCT: return winogradProductTile(op, index, scratch);
    default: unreachable();
  }
}
