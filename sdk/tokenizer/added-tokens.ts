import type { AddedToken } from './special-tokens.ts';
import { SPACE, trimEnd, trimStart } from './python-regex.ts';

/** A piece of text: an added token with its id, or text still to be encoded. */
export interface Piece {
  text: string;
  id?: number;
}

interface Match extends Piece {
  index: number;
  token: AddedToken;
}

/** Finds added tokens in a text: the leftmost, of those the longest, exact and case-sensitive. */
export class TokenMatcher {
  readonly #tokens = new Map<string, { token: AddedToken; id: number }>();
  #pattern: RegExp | undefined;

  /** `content` is what is looked for, where that is not the token as written. */
  add(token: AddedToken, id: number, content = token.content): void {
    if (content === '') return;
    this.#tokens.set(content, { token, id });
    // Alternatives are tried in order, so the longest comes first.
    const longestFirst = [...this.#tokens.keys()].sort((a, b) => b.length - a.length);
    const escaped = longestFirst.map((text) => text.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&'));
    this.#pattern = new RegExp(escaped.join('|'), 'g');
  }

  /** The token that this text is, if it is one. */
  get(content: string): { token: AddedToken; id: number } | undefined {
    return this.#tokens.get(content);
  }

  *matches(text: string): Iterable<Match> {
    for (const match of this.#pattern ? text.matchAll(this.#pattern) : []) {
      yield { text: match[0], index: match.index, ...this.#tokens.get(match[0])! };
    }
  }
}

/**
 * Cuts added tokens out of raw text as `PreTrainedTokenizer.tokenize` of transformers 4 does. The
 * flags work from left to right on the neighbours as they are by then, like the original.
 */
export function splitSlow(matcher: TokenMatcher, text: string): Piece[] {
  const pieces: string[] = [];
  let end = 0;
  for (const match of matcher.matches(text)) {
    if (match.index > end) pieces.push(text.slice(end, match.index));
    pieces.push(match.text);
    end = match.index + match.text.length;
  }
  if (end < text.length) pieces.push(text.slice(end));

  for (let i = 0; i < pieces.length; i++) {
    const flags = matcher.get(pieces[i])?.token;
    if (!flags) continue;
    const left = pieces[i - 1];
    const right = pieces[i + 1];
    if (flags.rstrip && right) pieces[i + 1] = trimStart(right);
    if (flags.lstrip && left) pieces[i - 1] = trimEnd(left);
    if (flags.singleWord && left && !left.endsWith(' ')) {
      pieces[i - 1] += pieces[i];
      pieces[i] = '';
    } else if (flags.singleWord && right && !right.startsWith(' ')) {
      pieces[i + 1] = pieces[i] + pieces[i + 1];
      pieces[i] = '';
    }
  }
  return pieces
    .filter((piece) => piece !== '')
    .map((piece) => ({ text: piece, id: matcher.get(piece)?.id }));
}

/**
 * Cuts added tokens out as the `tokenizers` library does: first those that are not normalised, out
 * of the raw text; then the others, out of what is left once it is normalised.
 */
export function splitFast(
  raw: TokenMatcher,
  normalized: TokenMatcher,
  text: string,
  normalize: (text: string) => string,
): Piece[] {
  return splitOnce(raw, text).flatMap((piece) =>
    piece.id === undefined ? splitOnce(normalized, normalize(piece.text)) : [piece],
  );
}

const WORD_BEFORE = /[\p{L}\p{N}\p{M}\p{Pc}]$/u;
const WORD_AFTER = /^[\p{L}\p{N}\p{M}\p{Pc}]/u;
const SPACE_BEFORE = new RegExp(`${SPACE}*$`);
const SPACE_AFTER = new RegExp(`^${SPACE}*`);

function splitOnce(matcher: TokenMatcher, text: string): Piece[] {
  const pieces: Piece[] = [];
  let done = 0;
  for (const { index, text: content, token, id } of matcher.matches(text)) {
    const before = text.slice(0, index);
    const after = text.slice(index + content.length);
    if (token.singleWord && (WORD_BEFORE.test(before) || WORD_AFTER.test(after))) continue;
    const eatenBefore = token.lstrip ? SPACE_BEFORE.exec(before)![0].length : 0;
    const eatenAfter = token.rstrip ? SPACE_AFTER.exec(after)![0].length : 0;
    const start = Math.max(index - eatenBefore, done);
    if (start > done) pieces.push({ text: text.slice(done, start) });
    pieces.push({ text: content, id });
    done = index + content.length + eatenAfter;
  }
  if (done < text.length) pieces.push({ text: text.slice(done) });
  return pieces;
}
