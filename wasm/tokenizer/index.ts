import { allocate, keep, release } from './arena';
import { flagsOf } from './classes';
import { addMerge, mergedOf, NO_RANK, openMerges, rankOf } from './merges';
import { kind, nextWord, START_OF_TEXT, start, WORD } from './split';
import { intern, openStrings, symbolCount, symbolLength, symbolText } from './strings';

// CLIP's byte-level byte-pair encoding (OpenAI CLIP, simple_tokenizer.py).
// All text is UTF-8. Pointers are byte offsets into the exported memory.

let baseSymbols: usize; // u32[512]: symbol of each byte, then of each byte with "</w>"
let ids: usize; // i32 per symbol: id in the vocabulary
let startId: i32;
let endId: i32;

/** Room for the host to write into, valid until the next call of `encode` or `build`. */
export function reserve(bytes: u32): usize {
  release();
  return allocate(bytes);
}

/** Unicode flags of a code point: see unicode.ts. */
export function classify(code: u32): u32 {
  return flagsOf(code);
}

/** GPT-2's table: printable Latin-1 stands for itself, the other 68 bytes for 256, 257, …. */
function byteToChar(byte: u32, hidden: u32): u32 {
  const printable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
  return printable ? byte : 256 + hidden;
}

function isHidden(byte: u32): u32 {
  return byteToChar(byte, 0) === byte ? 0 : 1;
}

function internBase(): void {
  let hidden: u32 = 0;
  for (let byte: u32 = 0; byte < 256; byte++) {
    const char = byteToChar(byte, hidden);
    hidden += isHidden(byte);
    const text = allocate(8);
    let length: u32 = 1;
    if (char < 0x80) store<u8>(text, char);
    else {
      store<u8>(text, 0xc0 | (char >>> 6));
      store<u8>(text, 0x80 | (char & 0x3f), 1);
      length = 2;
    }
    store<u32>(baseSymbols + (<usize>byte << 2), intern(text, length));
    const ending = allocate(8);
    memory.copy(ending, text, length);
    store<u32>(ending + length, 0x3e772f3c); // "</w>"
    store<u32>(baseSymbols + (<usize>(byte + 256) << 2), intern(ending, length + 4));
  }
}

/** The end of the line that starts at `pointer`. */
function lineEnd(pointer: usize, end: usize): usize {
  while (pointer < end && load<u8>(pointer) !== 0x0a) pointer++;
  return pointer;
}

/** Makes room for the tables that stay. Comes first, once per instance. */
export function open(tokenCount: u32, mergeCount: u32): void {
  baseSymbols = allocate(512 << 2);
  openMerges(mergeCount);
  ids = allocate(<usize>symbolCapacity(tokenCount, mergeCount) << 2);
  keep();
}

function symbolCapacity(tokenCount: u32, mergeCount: u32): u32 {
  return 512 + tokenCount + 3 * mergeCount;
}

/**
 * Fills the tables. At `pointer` (from `reserve`, after `open`) lie, one after the other:
 * `tokenCount` i32 ids, their tokens one per line (`tokenBytes`), and the merges "left right" one
 * per line in the order of their rank (`mergeBytes`). A symbol that is not in the vocabulary has
 * the id `unknown`; `startOfText` and `endOfText` are the ids of the two markers.
 */
export function build(
  pointer: usize,
  tokenCount: u32,
  tokenBytes: u32,
  mergeCount: u32,
  mergeBytes: u32,
  unknown: i32,
  startOfText: i32,
  endOfText: i32,
): void {
  startId = startOfText;
  endId = endOfText;
  const capacity = symbolCapacity(tokenCount, mergeCount);
  const tokens = pointer + (<usize>tokenCount << 2);
  const merges = tokens + tokenBytes;
  const end = merges + mergeBytes;

  openStrings(capacity);
  internBase();
  for (let symbol: u32 = 0; symbol < capacity; symbol++) {
    store<i32>(ids + (<usize>symbol << 2), unknown);
  }
  for (let line = tokens, i: u32 = 0; i < tokenCount; i++) {
    const stop = lineEnd(line, merges);
    const symbol = intern(line, <u32>(stop - line));
    store<i32>(ids + (<usize>symbol << 2), load<i32>(pointer + (<usize>i << 2)));
    line = stop + 1;
  }
  for (let line = merges, rank: u32 = 0; rank < mergeCount; rank++) {
    const stop = lineEnd(line, end);
    let space = line;
    while (load<u8>(space) !== 0x20) space++;
    const left = intern(line, <u32>(space - line));
    const right = intern(space + 1, <u32>(stop - space - 1));
    const length = symbolLength(left) + symbolLength(right);
    const joined = allocate(length);
    memory.copy(joined, symbolText(left), symbolLength(left));
    memory.copy(joined + symbolLength(left), symbolText(right), symbolLength(right));
    addMerge(left, right, rank, intern(joined, length));
    line = stop + 1;
  }
  release();
}

let results: usize;

/** Where `encode` left its ids, valid until the next call of `reserve`. */
export function result(): usize {
  return results;
}

/**
 * Encodes the cleaned text at `pointer` (from `reserve`). Returns the number of ids, i32 each, at
 * `result()`. `special`: see `nextWord`.
 */
export function encode(pointer: usize, length: u32, special: bool): u32 {
  const bytes = <usize>length << 2; // a byte gives at most one symbol
  results = allocate(bytes);
  const symbols = allocate(bytes);
  const ranks = allocate(bytes);
  const end = pointer + length;
  let out = results;
  let stop = nextWord(pointer, end, special);
  while (stop !== 0) {
    if (kind === WORD) {
      const found = mergeWord(start, <u32>(stop - start), symbols, ranks);
      for (let i: u32 = 0; i < found; i++) {
        const symbol = load<u32>(symbols + (<usize>i << 2));
        store<i32>(out, load<i32>(ids + (<usize>symbol << 2)));
        out += 4;
      }
    } else {
      store<i32>(out, kind === START_OF_TEXT ? startId : endId);
      out += 4;
    }
    stop = nextWord(stop, end, special);
  }
  return <u32>((out - results) >>> 2);
}

const STALE: u32 = 0xfffffffe; // the pair at this place has changed: look its rank up again

/**
 * Byte-pair merging of one word into `symbols`; returns how many are left. Each round takes the
 * pair of lowest rank and merges all its occurrences from left to right without overlap, so the
 * rounds are bounded by the number of different merges, and a long word stays affordable.
 */
function mergeWord(word: usize, length: u32, symbols: usize, ranks: usize): u32 {
  for (let i: u32 = 0; i < length; i++) {
    const base = <u32>load<u8>(word + i) + (i === length - 1 ? 256 : 0);
    store<u32>(symbols + (<usize>i << 2), load<u32>(baseSymbols + (<usize>base << 2)));
    store<u32>(ranks + (<usize>i << 2), STALE);
  }
  while (length > 1) {
    let lowest = NO_RANK;
    let at: usize = 0;
    for (let i: usize = 0, n = <usize>(length - 1) << 2; i < n; i += 4) {
      let rank = load<u32>(ranks + i);
      if (rank === STALE) {
        rank = rankOf(load<u32>(symbols + i), load<u32>(symbols + i, 4));
        store<u32>(ranks + i, rank);
      }
      if (rank < lowest) {
        lowest = rank;
        at = i;
      }
    }
    if (lowest === NO_RANK) break;
    const merged = mergedOf(load<u32>(symbols + at), load<u32>(symbols + at, 4));
    length = mergeAll(lowest, merged, length, symbols, ranks);
  }
  return length;
}

/** Replaces every pair of this rank by `merged`, in place; returns the new length. */
function mergeAll(rank: u32, merged: u32, length: u32, symbols: usize, ranks: usize): u32 {
  const last = <usize>(length - 1) << 2;
  let write: usize = 0;
  let read: usize = 0;
  while (read <= last) {
    if (read < last && load<u32>(ranks + read) === rank) {
      store<u32>(symbols + write, merged);
      store<u32>(ranks + write, STALE);
      if (write > 0) store<u32>(ranks + write - 4, STALE);
      read += 8;
    } else {
      store<u32>(symbols + write, load<u32>(symbols + read));
      store<u32>(ranks + write, load<u32>(ranks + read));
      read += 4;
    }
    write += 4;
  }
  return <u32>(write >>> 2);
}
