import { DISTANCES, FLAGS, RANGE_COUNT } from './unicode';

export const LETTER: u32 = 1;
export const NUMBER: u32 = 2;
export const SPACE: u32 = 3;
export const KIND: u32 = 3; // mask: 0 is everything else

/** u32 per range: its first code point. */
const starts: usize = memory.data(RANGE_COUNT << 2, 4);

// Written out when the module starts: as differences they are a third of the size to download.
function openRanges(): void {
  let pointer = DISTANCES;
  let code: u32 = 0;
  for (let i = 0; i < RANGE_COUNT; i++) {
    let byte: u32;
    let shift: u32 = 0;
    let distance: u32 = 0;
    do {
      byte = load<u8>(pointer++);
      distance |= (byte & 127) << shift;
      shift += 7;
    } while (byte > 127);
    code += distance;
    store<u32>(starts + (<usize>i << 2), code);
  }
}
openRanges();

/** The flags of a code point, by binary search for the range it lies in. */
export function flagsOf(code: u32): u32 {
  let low = 0;
  let high = RANGE_COUNT - 1;
  while (low < high) {
    const middle = (low + high + 1) >>> 1;
    if (load<u32>(starts + (<usize>middle << 2)) <= code) low = middle;
    else high = middle - 1;
  }
  return load<u8>(FLAGS + <usize>low);
}

/** Set by `decode`: how many bytes the code point took. */
export let width: u32 = 0;

/** The code point at `pointer`. The text comes from TextEncoder, so it is well-formed UTF-8. */
export function decode(pointer: usize): u32 {
  const first: u32 = load<u8>(pointer);
  if (first < 0x80) {
    width = 1;
    return first;
  }
  const second: u32 = load<u8>(pointer, 1) & 0x3f;
  if (first < 0xe0) {
    width = 2;
    return ((first & 0x1f) << 6) | second;
  }
  const third: u32 = load<u8>(pointer, 2) & 0x3f;
  if (first < 0xf0) {
    width = 3;
    return ((first & 0x0f) << 12) | (second << 6) | third;
  }
  width = 4;
  return ((first & 0x07) << 18) | (second << 12) | (third << 6) | (load<u8>(pointer, 3) & 0x3f);
}
