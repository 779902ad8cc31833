import { isBad } from './badness.ts';
import { CODE_PAGES, WINDOWS_1252 } from './code-pages.ts';
import { CLUE } from './tables.ts';

// Repairs text that was decoded with the wrong encoding, as ftfy's `fix_encoding` does.
// Bytes are strings of characters U+0000–U+00FF here, so that regular expressions work on them.

interface Encoding {
  name: string;
  byteOf: Map<string, number>;
}

/** ftfy's "sloppy" encodings take byte 1A for U+FFFD. */
function buildEncoding(name: string, upper: string): Encoding {
  const byteOf = new Map<string, number>();
  for (let byte = 0; byte < 128; byte++) byteOf.set(String.fromCharCode(byte), byte);
  if (name.startsWith('sloppy')) {
    byteOf.delete('\x1a');
    byteOf.set('\ufffd', 0x1a);
  }
  [...upper].forEach((char, i) => byteOf.set(char, 0x80 + i));
  return { name, byteOf };
}

/** In the order they are tried. */
const ENCODINGS = Object.entries(CODE_PAGES).map(([name, upper]) => buildEncoding(name, upper));

/** The text's bytes in an encoding, or undefined when it does not have all the characters. */
function encode(text: string, { byteOf }: Encoding): string | undefined {
  let bytes = '';
  for (const char of text) {
    const byte = byteOf.get(char);
    if (byte === undefined) return undefined;
    bytes += String.fromCharCode(byte);
  }
  return bytes;
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Strict UTF-8, plus Java's C0 80 for U+0000 and CESU-8's pairs; undefined when it is neither. */
function decodeUtf8(bytes: string): string | undefined {
  const standard = bytes
    .replace(/\xc0\x80/g, '\0')
    .replace(/\xed([\xa0-\xaf])([\x80-\xbf])\xed([\xb0-\xbf])([\x80-\xbf])/g, (_, a, b, c, d) => {
      const bits = (part: string, mask: number) => part.charCodeAt(0) & mask;
      const high = (bits(a, 0x0f) << 16) | (bits(b, 0x3f) << 10);
      const code = (high | (bits(c, 0x0f) << 6) | bits(d, 0x3f)) + 0x10000;
      return toBytes(String.fromCodePoint(code));
    });
  try {
    return utf8.decode(Uint8Array.from(standard, (char) => char.charCodeAt(0)));
  } catch {
    return undefined;
  }
}

function toBytes(text: string): string {
  return String.fromCharCode(...new TextEncoder().encode(text));
}

/** UTF-8 sequences in which byte A0 has become a space; ftfy's ALTERED_UTF8_RE. */
const ALTERED = new RegExp(
  '[\\xc2\\xc3\\xc5\\xce\\xd0\\xd9][ ]' +
    '|[\\xe2\\xe3][ ][\\x80-\\x84\\x86-\\x9f\\xa1-\\xbf]' +
    '|[\\xe0-\\xe3][\\x80-\\x84\\x86-\\x9f\\xa1-\\xbf][ ]' +
    '|\\xf0[ ][\\x80-\\xbf][\\x80-\\xbf]' +
    '|\\xf0[\\x80-\\xbf][ ][\\x80-\\xbf]' +
    '|\\xf0[\\x80-\\xbf][\\x80-\\xbf][ ]',
  'g',
);

/** Puts byte A0 back; "Ã " as a word of its own keeps its space, as in "Ã la" for "à la". */
function restoreByteA0(bytes: string): string {
  return bytes
    .replace(/\xc3 (?! |quele|quela|quilo|s )/g, '\xc3\xa0 ')
    .replace(ALTERED, (match) => match.replaceAll(' ', '\xa0'));
}

/** UTF-8 sequences of which some bytes were lost to U+FFFD (byte 1A); ftfy's LOSSY_UTF8_RE. */
const LOSSY = new RegExp(
  '[\\xc2-\\xdf]\\x1a' +
    '|[\\xc2-\\xc3][?]' +
    '|\\xed[\\xa0-\\xaf][\\x1a?]\\xed[\\xb0-\\xbf][\\x1a?\\x80-\\xbf]' +
    '|\\xed[\\xa0-\\xaf][\\x1a?\\x80-\\xbf]\\xed[\\xb0-\\xbf][\\x1a?]' +
    '|[\\xe0-\\xef][\\x1a?][\\x1a\\x80-\\xbf]' +
    '|[\\xe0-\\xef][\\x1a\\x80-\\xbf][\\x1a?]' +
    '|[\\xf0-\\xf4][\\x1a?][\\x1a\\x80-\\xbf][\\x1a\\x80-\\xbf]' +
    '|[\\xf0-\\xf4][\\x1a\\x80-\\xbf][\\x1a?][\\x1a\\x80-\\xbf]' +
    '|[\\xf0-\\xf4][\\x1a\\x80-\\xbf][\\x1a\\x80-\\xbf][\\x1a?]' +
    '|\\x1a',
  'g',
);
const REPLACEMENT_BYTES = '\xef\xbf\xbd';

/** Sequences that look like UTF-8 read as something else; ftfy's UTF8_DETECTOR_RE. */
const DETECTOR = new RegExp(
  `(?<![${CLUE.utf8_continuation_strict}])(?:` +
    `[${CLUE.utf8_first_of_2}][${CLUE.utf8_continuation}]` +
    `|[${CLUE.utf8_first_of_3}][${CLUE.utf8_continuation}]{2}` +
    `|[${CLUE.utf8_first_of_4}][${CLUE.utf8_continuation}]{3})+`,
  'gu',
);

/** Repairs mojibake in isolation where no one encoding explains the whole text. */
function decodeInconsistentUtf8(text: string): string {
  return text.replace(DETECTOR, (match) =>
    // Shorter than the whole, so that this cannot call itself for ever.
    match.length < text.length && isBad(match) ? fixEncoding(match) : match,
  );
}

/** Reads C1 control characters as Windows-1252, as browsers do. */
export function fixC1Controls(text: string): string {
  return text.replace(/[\x80-\x9f]/g, (char) => WINDOWS_1252[char.charCodeAt(0) - 0x80]);
}

/** Repairs mojibake, as often as it takes. */
export function fixEncoding(text: string): string {
  for (;;) {
    const fixed = fixOnce(text);
    if (fixed === text) return text;
    text = fixed;
  }
}

/** ftfy's `_fix_encoding_one_step_and_explain`. */
function fixOnce(text: string): string {
  if (/^\p{ASCII}*$/u.test(text) || !isBad(text)) return text;

  // UTF-8 that was decoded with a single-byte encoding.
  for (const encoding of ENCODINGS) {
    let bytes = encode(text, encoding);
    if (bytes === undefined) continue;
    // In MacRoman a lone dash and a space would match.
    if (encoding.name !== 'macroman' && bytes.search(ALTERED) >= 0) bytes = restoreByteA0(bytes);
    if (encoding.name.startsWith('sloppy')) bytes = bytes.replace(LOSSY, REPLACEMENT_BYTES);
    const decoded = decodeUtf8(bytes);
    if (decoded !== undefined) return decoded;
  }

  const repaired = decodeInconsistentUtf8(text);
  if (repaired !== text) return repaired;

  // Latin-1 that was meant to be Windows-1252. ftfy tries the whole text first, then the C1 controls
  // one by one; either way comes to the same text.
  return fixC1Controls(text);
}
