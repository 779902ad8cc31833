// A1111 parses prompts with Python's regular expressions, whose classes for str are Unicode's:
// `\s` holds U+001C–U+001F and U+0085 but not U+FEFF, and `\b` knows letters beyond ASCII.
// Each is a character class, for use with the `u` flag.

export const SPACE =
  '[\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]';
export const WORD = '[\\p{L}\\p{N}_]';
