import type { AddedToken } from './special-tokens.ts';

/** A piece of the raw text: an added token with its id, or text to be cleaned and encoded. */
export type Piece = { text: string; id?: undefined } | { text: string; id: number };

/**
 * Cuts added tokens out of raw text as `PreTrainedTokenizer.tokenize` does: the leftmost, and of
 * those the longest, exact and case-sensitive; then the strip flags eat white space around them.
 */
export class AddedTokenSplitter {
  readonly #tokens = new Map<string, { token: AddedToken; id: number }>();
  #pattern: RegExp | undefined;

  add(token: AddedToken, id: number): void {
    if (token.content === '') return;
    this.#tokens.set(token.content, { token, id });
    // Alternatives are tried in order, so the longest comes first.
    const longestFirst = [...this.#tokens.keys()].sort((a, b) => b.length - a.length);
    const escaped = longestFirst.map((content) => content.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&'));
    this.#pattern = new RegExp(escaped.join('|'), 'g');
  }

  has(content: string): boolean {
    return this.#tokens.has(content);
  }

  split(text: string): Piece[] {
    const pieces: Piece[] = [];
    let end = 0;
    for (const match of this.#pattern ? text.matchAll(this.#pattern) : []) {
      if (match.index > end) pieces.push({ text: text.slice(end, match.index) });
      pieces.push({ text: match[0], id: this.#tokens.get(match[0])!.id });
      end = match.index + match[0].length;
    }
    if (end < text.length) pieces.push({ text: text.slice(end) });
    return this.#applyFlags(pieces).filter((piece) => piece.text !== '');
  }

  /** Works from left to right on the neighbours as they are by then, like the original. */
  #applyFlags(pieces: Piece[]): Piece[] {
    for (let i = 0; i < pieces.length; i++) {
      const piece = pieces[i];
      const found = this.#tokens.get(piece.text);
      if (!found) continue;
      const { lstrip, rstrip, singleWord } = found.token;
      const left = pieces[i - 1]?.text;
      const right = pieces[i + 1]?.text;
      if (rstrip && right) this.#replace(pieces, i + 1, trimStart(right));
      if (lstrip && left) this.#replace(pieces, i - 1, trimEnd(left));
      if (!singleWord) continue;
      if (left && !left.endsWith(' ')) {
        this.#replace(pieces, i - 1, pieces[i - 1].text + piece.text);
        this.#replace(pieces, i, '');
      } else if (right && !right.startsWith(' ')) {
        this.#replace(pieces, i + 1, piece.text + pieces[i + 1].text);
        this.#replace(pieces, i, '');
      }
    }
    return pieces;
  }

  /** A text that has become exactly an added token is one. */
  #replace(pieces: Piece[], index: number, text: string): void {
    const found = this.#tokens.get(text);
    pieces[index] = found ? { text, id: found.id } : { text };
  }
}

/** Python's str.strip: Unicode White_Space and U+001C–U+001F; unlike JavaScript's, not U+FEFF. */
const SPACE =
  '[\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]';
const LEADING = new RegExp(`^${SPACE}+`);
const TRAILING = new RegExp(`${SPACE}+$`);
export const trimStart = (text: string) => text.replace(LEADING, '');
export const trimEnd = (text: string) => text.replace(TRAILING, '');
export const trim = (text: string) => trimEnd(trimStart(text));
