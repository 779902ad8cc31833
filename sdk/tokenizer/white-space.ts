/**
 * Python's white space for str.strip and `re`'s `\s`: Unicode White_Space and U+001C–U+001F. Unlike
 * JavaScript's it holds U+0085 and not U+FEFF. A character class, for use in regular expressions.
 */
export const SPACE =
  '[\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]';

const LEADING = new RegExp(`^${SPACE}+`);
const TRAILING = new RegExp(`${SPACE}+$`);

export const trimStart = (text: string) => text.replace(LEADING, '');
export const trimEnd = (text: string) => text.replace(TRAILING, '');
export const trim = (text: string) => trimEnd(trimStart(text));
