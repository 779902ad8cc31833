import { decode, flagsOf, KIND, LETTER, NUMBER, SPACE, width } from './classes';

// The split into words (pre-tokens), which is the regular expression of OpenAI's simple_tokenizer.py:
//   <\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+
// The text is lower-case already; what is left of the IGNORECASE flag is one letter, see `isS`.

export const WORD: u32 = 0;
export const START_OF_TEXT: u32 = 1;
export const END_OF_TEXT: u32 = 2;

/** Set by `nextWord`: what was found, and where it begins. */
export let kind: u32 = WORD;
export let start: usize = 0;

const startOfText: usize = memory.data<u8>([60, 124, 115, 116, 97, 114, 116, 111, 102, 116, 101, 120, 116, 124, 62]);
const endOfText: usize = memory.data<u8>([60, 124, 101, 110, 100, 111, 102, 116, 101, 120, 116, 124, 62]);
const START_LENGTH: usize = 15;
const END_LENGTH: usize = 13;

function startsWith(pointer: usize, end: usize, literal: usize, length: usize): bool {
  return end - pointer >= length && memory.compare(pointer, literal, length) === 0;
}

/** The end of a marker at `pointer`, or 0; sets `kind`. */
function marker(pointer: usize, end: usize): usize {
  if (startsWith(pointer, end, startOfText, START_LENGTH)) {
    kind = START_OF_TEXT;
    return pointer + START_LENGTH;
  }
  if (startsWith(pointer, end, endOfText, END_LENGTH)) {
    kind = END_OF_TEXT;
    return pointer + END_LENGTH;
  }
  return 0;
}

/** Bytes of an 's' at `pointer`. U+017F 'ſ' is lower-case, yet IGNORECASE folds it to 's'. */
function isS(pointer: usize, end: usize, ignoreCase: bool): u32 {
  if (pointer >= end) return 0;
  if (load<u8>(pointer) === 0x73) return 1;
  if (!ignoreCase || pointer + 1 >= end) return 0;
  return load<u16>(pointer) === 0xbfc5 ? 2 : 0; // C5 BF, little-endian
}

/** The end of `<|ſtartoftext|>`: IGNORECASE finds it as one word, though it is no special token. */
function longSStart(pointer: usize, end: usize): usize {
  if (end - pointer < START_LENGTH + 1 || load<u16>(pointer) !== 0x7c3c) return 0;
  if (isS(pointer + 2, end, true) !== 2) return 0;
  if (memory.compare(pointer + 4, startOfText + 3, START_LENGTH - 3) !== 0) return 0;
  return pointer + START_LENGTH + 1;
}

/** The end of 's 't 're 've 'm 'll 'd after the apostrophe at `pointer`, or 0. */
function contraction(pointer: usize, end: usize, ignoreCase: bool): usize {
  const next = pointer + 1;
  if (next >= end) return 0;
  const s = isS(next, end, ignoreCase);
  if (s !== 0) return next + s;
  const letter = load<u8>(next);
  if (letter === 0x74 || letter === 0x6d || letter === 0x64) return next + 1; // t m d
  if (next + 1 >= end) return 0;
  const pair = load<u16>(next);
  if (pair === 0x6572 || pair === 0x6576 || pair === 0x6c6c) return next + 2; // re ve ll
  return 0;
}

/** The end of the run of code points of this kind. */
function run(pointer: usize, end: usize, wanted: u32): usize {
  while (pointer < end && (flagsOf(decode(pointer)) & KIND) === wanted) pointer += width;
  return pointer;
}

/** Fast tokenizer: where the "|>" of a marker that is being passed in three words begins. */
let markerTail: usize = 0;

/**
 * Finds the next word in [pointer, end): sets `start` and `kind`, and returns where it ends, or 0
 * when only white space is left. With `special`, as in the slow tokenizers, a marker is one id and
 * case is ignored. The fast tokenizer finds a marker too, but then splits it by GPT-2's regular
 * expression into "<|", the name and "|>".
 */
export function nextWord(pointer: usize, end: usize, special: bool): usize {
  pointer = run(pointer, end, SPACE);
  start = pointer;
  kind = WORD;
  if (pointer >= end) return 0;

  const first = load<u8>(pointer);
  if (first === 0x3c) {
    const after = marker(pointer, end);
    if (after !== 0) {
      if (special) return after;
      kind = WORD;
      markerTail = after - 2;
      return pointer + 2;
    }
    if (special) {
      const longS = longSStart(pointer, end);
      if (longS !== 0) return longS;
    }
  }
  if (pointer === markerTail) {
    markerTail = 0;
    return pointer + 2;
  }
  if (first === 0x27) {
    const after = contraction(pointer, end, special);
    if (after !== 0) return after;
  }
  const found = flagsOf(decode(pointer)) & KIND;
  if (found === NUMBER) return pointer + width;
  return run(pointer, end, found === LETTER ? LETTER : 0);
}
