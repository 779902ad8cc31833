import { allocate, clear } from './arena';

// The merge table: (left symbol, right symbol) → rank and merged symbol.
// Open addressing; an entry is u64 pair, u32 rank + 1 (0 = free), u32 merged symbol.

export const NO_RANK: u32 = 0xffffffff;

let entries: usize;
let entryMask: u32;

export function openMerges(capacity: u32): void {
  let size: u32 = 16;
  while (size < capacity * 2) size <<= 1;
  entryMask = size - 1;
  entries = allocate(<usize>size << 4);
  clear(entries, <usize>size << 4);
}

/** The entry of a pair: the one that holds it, or the free one where it belongs. */
function find(left: u32, right: u32): usize {
  const pair = (<u64>left << 32) | right;
  // Fibonacci hashing: the high bits of the product mix both symbols.
  let slot = <u32>((pair * 0x9e3779b97f4a7c15) >>> 40) & entryMask;
  while (true) {
    const entry = entries + (<usize>slot << 4);
    if (load<u32>(entry, 8) === 0 || load<u64>(entry) === pair) return entry;
    slot = (slot + 1) & entryMask;
  }
}

/** A repeated pair takes its last rank, as Python's dict(zip(…)) does. */
export function addMerge(left: u32, right: u32, rank: u32, merged: u32): void {
  const entry = find(left, right);
  store<u64>(entry, (<u64>left << 32) | right);
  store<u32>(entry, rank + 1, 8);
  store<u32>(entry, merged, 12);
}

export function rankOf(left: u32, right: u32): u32 {
  return load<u32>(find(left, right), 8) - 1; // free: 0 - 1 = NO_RANK
}

export function mergedOf(left: u32, right: u32): u32 {
  return load<u32>(find(left, right), 12);
}
