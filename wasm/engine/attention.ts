// Flash attention (Dao et al. 2022) on the matrix micro-kernel, with everything transposed: the scores
// of eight queries form a panel `[keys][8]`, so that softmax runs lane by lane and the panel is at once
// the B operand of the product with the values. Scores are in base 2; log2(e) rides in the query scale.
import {
  CAUSAL, CHUNK_TILES, HEADS, HEAD_DIM, KEYS, KEY_CHUNK, KEY_COUNT, KEY_LENGTHS, OUT, PACKED_KEYS,
  PACKED_VALUES, QUERY_COUNT, QUERY_SCALE, SCRATCH_A, SCRATCH_B, SCRATCH_C, SCRATCH_TABLE, TILE_QUERIES, VALUES, X, ZEROS,
} from './layout';
import { at, exp2, EXP2, fma, loadPart } from './math';
import { interleavePanel, interleaveRows, spreadPanel } from './pack';
import { BLOCK, MR, ROW, tile, tileOfFour } from './tile';

const LEAST: f32 = -1e30;
/** So far from zero the largest score may lie: sums of 2^64 are as exact as sums of 1. */
const SLACK: f32 = 64;

// @ts-ignore: decorator
@inline
function blocksOf(n: i32): i32 {
  return (n + MR - 1) / MR;
}

/** Of the rows of values, how many blocks have four; the others have six. As few rows as can be are empty. */
function fours(d: i32): i32 {
  const blocks = (d + 3) >> 2;
  return MR == 4 ? blocks : min(blocks, (6 - ((d + 1) & ~1) % 6) % 6 >> 1);
}

// @ts-ignore: decorator
@inline
function sixes(d: i32, fours: i32): i32 {
  return MR == 4 ? 0 : (max(0, d - 4 * fours) + 5) / 6;
}

/**
 * Packs one chunk of keys and values of one head: keys `[m/MR][d][MR]`, values in blocks of six and then
 * of four rows, `[block][m][6 or 4]`.
 */
export function packAttentionTile(op: usize, index: i32, scratch: usize): void {
  const chunks = load<i32>(op, CHUNK_TILES);
  const head = index / chunks, chunk = index - head * chunks;
  const heads = load<i32>(op, HEADS), d = load<i32>(op, HEAD_DIM), m = load<i32>(op, KEY_COUNT);
  const batch = head / heads;
  const pitch: usize = (heads * d) << 2;
  const offset: usize = <usize>batch * m * pitch + <usize>((head - batch * heads) * d << 2);
  const keyBlocks = blocksOf(m), padded = keyBlocks * MR;
  const narrow = fours(d), wide = sixes(d, narrow), rows = 6 * wide + 4 * narrow;
  const perChunk = load<i32>(op, KEY_CHUNK) / MR;
  const firstBlock = chunk * perChunk, endBlock = min(firstBlock + perChunk, keyBlocks);
  const table = scratch + SCRATCH_TABLE;

  const keys = load<usize>(op, KEYS) + offset;
  let to = load<usize>(op, PACKED_KEYS) + (<usize>head * keyBlocks + firstBlock) * (d * MR * 4);
  let longest = f32x4.splat(0);
  for (let block = firstBlock; block < endBlock; block++) {
    for (let i = 0; i < MR; i++) {
      const key = block * MR + i;
      store<usize>(table + (i << 2), key < m ? keys + <usize>key * pitch : ZEROS);
    }
    interleaveRows(table, 0, d, to);
    longest = f32x4.pmax(longest, squares(to, d));
    to += d * MR * 4;
  }
  const most = max(
    max(f32x4.extract_lane(longest, 0), f32x4.extract_lane(longest, 1)),
    max(f32x4.extract_lane(longest, 2), f32x4.extract_lane(longest, 3)),
  );
  store<f32>(load<usize>(op, KEY_LENGTHS) + (index << 2), sqrt(most));

  const values = load<usize>(op, VALUES) + offset;
  const packed = load<usize>(op, PACKED_VALUES) + <usize>head * (rows * padded * 4);
  for (let key = firstBlock * MR; key < endBlock * MR; key++) {
    let from = key < m ? values + <usize>key * pitch : ZEROS;
    let left = d, part = packed;
    for (let block = wide; block > 0; block--) {
      const to = part + key * 24;
      v128.store(to, left >= 4 ? v128.load(from) : loadPart(from, left));
      store<f32>(to, left > 4 ? load<f32>(from, 16) : 0, 16);
      store<f32>(to, left > 5 ? load<f32>(from, 20) : 0, 20);
      from += 24;
      left -= 6;
      part += padded * 24;
    }
    for (let block = narrow; block > 0; block--) {
      v128.store(part + (key << 4), left >= 4 ? v128.load(from) : loadPart(from, left));
      from += 16;
      left -= 4;
      part += padded << 4;
    }
  }
}

/** Squared lengths of the MR keys of a block `[d][MR]`, the larger of two where the loads overlap. */
function squares(block: usize, d: i32): v128 {
  let s0 = f32x4.splat(0), s1 = s0;
  for (; d > 0; d--, block += MR * 4) {
    const x = v128.load(block), y = v128.load(block + (MR - 4) * 4);
    s0 = fma(x, x, s0);
    s1 = fma(y, y, s1);
  }
  return f32x4.pmax(s0, s1);
}

/** One tile: TILE_QUERIES queries of one head, against all keys, chunk by chunk. */
export function attentionTile(op: usize, index: i32, scratch: usize): void {
  const perHead = load<i32>(op, CHUNK_TILES);
  const head = index / perHead;
  const heads = load<i32>(op, HEADS), d = load<i32>(op, HEAD_DIM);
  const n = load<i32>(op, QUERY_COUNT), m = load<i32>(op, KEY_COUNT);
  const batch = head / heads;
  const pitch: usize = (heads * d) << 2;
  const offset: usize = <usize>batch * n * pitch + <usize>((head - batch * heads) * d << 2);
  const firstQuery = (index - head * perHead) * load<i32>(op, TILE_QUERIES);
  const panels = (min(load<i32>(op, TILE_QUERIES), n - firstQuery) + 7) >> 3;
  const keyBlocks = blocksOf(m), padded = keyBlocks * MR;
  const narrow = fours(d), wide = sixes(d, narrow), rows = 6 * wide + 4 * narrow;
  const perChunk = load<i32>(op, KEY_CHUNK) / MR;
  const keyStep: usize = d * MR * 4, valueRow: usize = padded * 4;
  const keys = load<usize>(op, PACKED_KEYS) + <usize>head * keyBlocks * keyStep;
  const values = load<usize>(op, PACKED_VALUES) + <usize>head * rows * valueRow;
  const causal = load<i32>(op, CAUSAL);

  const chunks = (keyBlocks + perChunk - 1) / perChunk;
  let keyLength = load<usize>(op, KEY_LENGTHS) + <usize>head * chunks * 4;

  // Scratch: queries [panel][d][8] in A; scores of one panel in B; per panel in C what is added
  // to its scores, the running sum (8 lanes each), the output [rows][8], and the queries' lengths.
  const queryStep: usize = d << 5;
  const lengths: usize = 64 + (rows << 5), stateStep = lengths + 32;
  const scores = scratch + SCRATCH_B;
  const queries = scratch + SCRATCH_A;
  const states = scratch + SCRATCH_C;
  for (let p = 0; p < panels; p++) {
    const query = queries + p * queryStep, state = states + p * stateStep;
    packQueries(op, firstQuery + p * 8, offset, pitch, scratch, query);
    memory.fill(state, 0, lengths);
    measure(query, d, state + lengths);
  }

  const seen = causal ? min(m, firstQuery + panels * 8) : m;
  const endBlock = blocksOf(seen);
  for (let first = 0; first < endBlock; first += perChunk, keyLength += 4) {
    const blocks = min(perChunk, endBlock - first);
    const firstKey = first * MR, count = blocks * MR;
    for (let p = 0; p < panels; p++) {
      const query = queries + p * queryStep, state = states + p * stateStep;
      let a = keys + first * keyStep, c = scores;
      for (let i = 0; i < blocks; i++) {
        tile(d, a, query, state, 0, c, ROW);
        a += keyStep;
        c += BLOCK;
      }
      if (firstKey + count > m) hide(scores, m - firstKey, count);
      if (causal) hideLater(scores, firstKey, count, firstQuery + p * 8);
      if (mayBeFar(state, state + lengths, keyLength)) settle(scores, count, state, first == 0, rows);
      softmax(scores, count, state);
      a = values + firstKey * 24;
      c = state + 64;
      for (let i = 0; i < wide; i++) {
        tile(count, a, scores, c, ROW, c, ROW);
        a += 6 * valueRow;
        c += 6 * ROW;
      }
      a -= firstKey * 8;
      for (let i = 0; i < narrow; i++) {
        tileOfFour(count, a, scores, c, ROW, c, ROW);
        a += 4 * valueRow;
        c += 4 * ROW;
      }
    }
  }
  for (let p = 0; p < panels; p++)
    writeQueries(op, firstQuery + p * 8, offset, pitch, scratch, states + p * stateStep);
}

function packQueries(op: usize, query: i32, offset: usize, pitch: usize, scratch: usize, to: usize): void {
  const n = load<i32>(op, QUERY_COUNT), d = load<i32>(op, HEAD_DIM);
  const from = load<usize>(op, X) + offset;
  const table = scratch + SCRATCH_TABLE;
  for (let i = 0; i < 8; i++, query++)
    store<usize>(table + (i << 2), query < n ? from + <usize>query * pitch : ZEROS);
  interleavePanel(table, d, to);
  const scale = v128.load_splat<f32>(op, QUERY_SCALE);
  for (let end = to + (d << 5); to < end; to += 16) v128.store(to, f32x4.mul(v128.load(to), scale));
}

/** Lengths of eight queries `[d][8]`. */
function measure(query: usize, d: i32, to: usize): void {
  let s0 = f32x4.splat(0), s1 = s0;
  for (; d > 0; d--, query += 32) {
    const x = v128.load(query), y = v128.load(query, 16);
    s0 = fma(x, x, s0);
    s1 = fma(y, y, s1);
  }
  v128.store(to, f32x4.sqrt(s0));
  v128.store(to, f32x4.sqrt(s1), 16);
}

/**
 * Whether a score of the chunk can lie beyond SLACK: it is at most the length of its query times that of
 * the longest key (Cauchy and Schwarz). Where none can, nobody need look for the largest. NaN may.
 */
// @ts-ignore: decorator
@inline
function mayBeFar(state: usize, lengths: usize, keyLength: usize): bool {
  const key = v128.load_splat<f32>(keyLength), slack = f32x4.splat(SLACK);
  const r0 = fma(v128.load(lengths), key, v128.load(state));
  const r1 = fma(v128.load(lengths, 16), key, v128.load(state, 16));
  return !i32x4.all_true(v128.and(f32x4.le(r0, slack), f32x4.le(r1, slack)));
}

/** Scores of keys past the end. */
function hide(scores: usize, from: i32, to: i32): void {
  const least = f32x4.splat(LEAST);
  for (let p = scores + (from << 5), end = scores + (to << 5); p < end; p += 16) v128.store(p, least);
}

/** Scores of keys later than the query of the lane. */
function hideLater(scores: usize, firstKey: i32, count: i32, query: i32): void {
  if (firstKey + count <= query) return;
  const q0 = i32x4.add(i32x4.splat(query), i32x4(0, 1, 2, 3)), q1 = i32x4.add(q0, i32x4.splat(4));
  const least = f32x4.splat(LEAST);
  for (let key = firstKey; key < firstKey + count; key++, scores += 32) {
    const k = i32x4.splat(key);
    v128.store(scores, v128.bitselect(least, v128.load(scores), i32x4.gt_s(k, q0)));
    v128.store(scores, v128.bitselect(least, v128.load(scores, 16), i32x4.gt_s(k, q1)), 16);
  }
}

/**
 * Looks whether scores lie so far from zero that 2^score would be too large, or all of a lane too small.
 * Most never do, which spares flash attention's subtraction and its scaling of the output.
 */
function settle(scores: usize, count: i32, state: usize, first: bool, rows: i32): void {
  const end = scores + (<usize>count << 5);
  let m0 = f32x4.splat(LEAST), m1 = m0;
  for (let p = scores; p < end; p += 32) {
    m0 = f32x4.pmax(m0, v128.load(p));
    m1 = f32x4.pmax(m1, v128.load(p, 16));
  }
  const slack = f32x4.splat(SLACK);
  let isFar = v128.any_true(f32x4.gt(f32x4.pmax(m0, m1), slack));
  if (first) isFar = isFar || v128.any_true(f32x4.lt(f32x4.pmin(m0, m1), f32x4.neg(slack)));
  if (!isFar) return;
  move(scores, end, state, m0, first, rows);
  move(scores + 16, end, state + 16, m1, first, rows);
}

/** Takes the maxima of four lanes off their scores, and brings what is summed so far to that. */
function move(scores: usize, end: usize, state: usize, by: v128, first: bool, rows: i32): void {
  // What is summed is never made larger.
  if (!first) by = f32x4.pmax(by, f32x4.splat(0));
  v128.store(state, f32x4.sub(v128.load(state), by));
  for (; scores < end; scores += 32) v128.store(scores, f32x4.sub(v128.load(scores), by));
  if (first) return;
  const f = exp2(f32x4.neg(by), at(EXP2, 0), at(EXP2, 1), at(EXP2, 2), at(EXP2, 3), at(EXP2, 4), at(EXP2, 5),
    at(EXP2, 6), at(EXP2, 7));
  for (; rows >= 0; rows--) {
    state += 32;
    v128.store(state, f32x4.mul(v128.load(state), f));
  }
}

/** Scores to 2^score, and their sum. */
function softmax(scores: usize, count: i32, state: usize): void {
  const least = at(EXP2, 0), magic = at(EXP2, 1), p5 = at(EXP2, 2), p4 = at(EXP2, 3);
  const p3 = at(EXP2, 4), p2 = at(EXP2, 5), p1 = at(EXP2, 6), p0 = at(EXP2, 7);
  let s0 = v128.load(state, 32), s1 = v128.load(state, 48);
  for (const end = scores + (<usize>count << 5); scores < end; scores += 32) {
    const e0 = exp2(v128.load(scores), least, magic, p5, p4, p3, p2, p1, p0);
    const e1 = exp2(v128.load(scores, 16), least, magic, p5, p4, p3, p2, p1, p0);
    v128.store(scores, e0);
    v128.store(scores, e1, 16);
    s0 = f32x4.add(s0, e0);
    s1 = f32x4.add(s1, e1);
  }
  v128.store(state, s0, 32);
  v128.store(state, s1, 48);
}

function writeQueries(op: usize, query: i32, offset: usize, pitch: usize, scratch: usize, state: usize): void {
  const n = load<i32>(op, QUERY_COUNT), d = load<i32>(op, HEAD_DIM);
  const one = f32x4.splat(1);
  const f0 = f32x4.div(one, v128.load(state, 32)), f1 = f32x4.div(one, v128.load(state, 48));
  const from = state + 64;
  for (let i = 0, p = from; i < d; i++, p += 32) {
    v128.store(p, f32x4.mul(v128.load(p), f0));
    v128.store(p, f32x4.mul(v128.load(p, 16), f1), 16);
  }
  const to = load<usize>(op, OUT) + offset + <usize>query * pitch;
  const table = scratch + SCRATCH_TABLE;
  // Rows past the end are written over the scores, which are spent.
  for (let i = 0; i < 8; i++)
    store<usize>(table + (i << 2), query + i < n ? to + i * pitch : scratch + SCRATCH_B);
  const whole = d & ~3;
  spreadPanel(from, whole, table, 0);
  for (let i = 0; i < 8 && query + i < n; i++)
    for (let c = whole; c < d; c++)
      store<f32>(to + i * pitch + (c << 2), load<f32>(from + (c << 5) + (i << 2)));
}
