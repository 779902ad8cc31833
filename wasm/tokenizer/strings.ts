import { allocate, clear } from './arena';

// Interned strings: a symbol is a number, equal strings get the same one. Only needed while the
// tables are built; byte-pair merging itself works on the numbers.

let slots: usize; // u32 each: symbol + 1, 0 = free
let slotMask: u32;
let records: usize; // u32 pointer, u32 length per symbol
let count: u32;

export function openStrings(capacity: u32): void {
  let size: u32 = 1024;
  while (size < capacity * 2) size <<= 1;
  slotMask = size - 1;
  slots = allocate(<usize>size << 2);
  clear(slots, <usize>size << 2);
  records = allocate(<usize>capacity << 3);
  count = 0;
}

export function symbolCount(): u32 {
  return count;
}

export function symbolText(symbol: u32): usize {
  return load<u32>(records + (<usize>symbol << 3));
}

export function symbolLength(symbol: u32): u32 {
  return load<u32>(records + (<usize>symbol << 3), 4);
}

/** FNV-1a, 32 bits. */
function hash(pointer: usize, length: u32): u32 {
  let h: u32 = 0x811c9dc5;
  for (let i: u32 = 0; i < length; i++) h = (h ^ load<u8>(pointer + i)) * 0x01000193;
  return h;
}

/** The symbol of a string; the bytes at `pointer` must stay where they are. */
export function intern(pointer: usize, length: u32): u32 {
  let slot = hash(pointer, length) & slotMask;
  while (true) {
    const held = load<u32>(slots + (<usize>slot << 2));
    if (held === 0) break;
    const symbol = held - 1;
    if (symbolLength(symbol) === length && memory.compare(symbolText(symbol), pointer, length) === 0) {
      return symbol;
    }
    slot = (slot + 1) & slotMask;
  }
  const symbol = count++;
  store<u32>(records + (<usize>symbol << 3), <u32>pointer);
  store<u32>(records + (<usize>symbol << 3), length, 4);
  store<u32>(slots + (<usize>slot << 2), symbol + 1);
  return symbol;
}
