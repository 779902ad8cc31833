import { TokenMatcher, type Piece, type TokenCutter } from './added-tokens.ts';
import { SPACE } from './python-regex.ts';
import type { AddedToken } from './special-tokens.ts';
import type { TokenizerVariant } from './variant.ts';

/** CLIPTokenizerFast, which is the only one in transformers ≥ 5. */
export const fast: TokenizerVariant = {
  cutsAddedTokens: true,
  cutter: () => new FastCutter(),
  // The cutter has normalised it.
  encode: (text, encoder) => encoder.encode(text, false),
};

/**
 * Cuts as the `tokenizers` library does: first the added tokens that are not normalised, out of the raw
 * text; then the others, out of what is left once it is normalised.
 */
class FastCutter implements TokenCutter {
  readonly #raw = new TokenMatcher();
  readonly #normalized = new TokenMatcher();

  add(token: AddedToken, id: number): void {
    if (token.normalized) this.#normalized.add(token, id, normalize(token.content));
    else this.#raw.add(token, id);
  }

  cut(text: string): Piece[] {
    return cutOnce(this.#raw, text).flatMap((piece) =>
      piece.id === undefined ? cutOnce(this.#normalized, normalize(piece.text)) : [piece],
    );
  }
}

/**
 * NFC, white space to single spaces, then lower case code point by code point as Rust's
 * `char::to_lowercase` does, without the final sigma of a whole word.
 */
function normalize(text: string): string {
  let normal = '';
  for (const char of text.normalize('NFC').replace(WHITE_SPACE, ' ')) normal += char.toLowerCase();
  return normal;
}

/** Unicode White_Space, which is not JavaScript's `\s` (U+0085 and U+FEFF). */
const WHITE_SPACE = /\p{White_Space}+/gu;

const WORD_BEFORE = /[\p{L}\p{N}\p{M}\p{Pc}]$/u;
const WORD_AFTER = /^[\p{L}\p{N}\p{M}\p{Pc}]/u;
const SPACE_BEFORE = new RegExp(`${SPACE}*$`);
const SPACE_AFTER = new RegExp(`^${SPACE}*`);

function cutOnce(matcher: TokenMatcher, text: string): Piece[] {
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
