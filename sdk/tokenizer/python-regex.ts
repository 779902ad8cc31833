// The originals work with Python's regular expressions, whose classes for str are Unicode's: `\s` and
// str.strip take U+001C–U+001F and U+0085 but not U+FEFF, and `\w` knows letters beyond ASCII.
// Each is a character class, for use in a RegExp with the `u` flag.

export const SPACE =
  '[\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]';
export const WORD = '[\\p{L}\\p{N}_]';

const LEADING = new RegExp(`^${SPACE}+`, 'u');
const TRAILING = new RegExp(`${SPACE}+$`, 'u');

export const trimStart = (text: string) => text.replace(LEADING, '');
export const trimEnd = (text: string) => text.replace(TRAILING, '');
export const trim = (text: string) => trimEnd(trimStart(text));
