import { trimEnd, trimStart } from './python-regex.ts';
import type { AddedToken } from './special-tokens.ts';

/** A piece of text: an added token with its id, or text still to be encoded. */
export interface Piece {
  text: string;
  id?: number;
}

/** Cuts added tokens out of texts, in the way of one variant of the tokenizer. */
export interface TokenCutter {
  add(token: AddedToken, id: number): void;
  cut(text: string): Piece[];
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

/** Cuts raw text as `PreTrainedTokenizer.tokenize` of transformers 4 does. */
export class SlowCutter implements TokenCutter {
  readonly #tokens = new TokenMatcher();

  add(token: AddedToken, id: number): void {
    this.#tokens.add(token, id);
  }

  /** The flags work from left to right on the neighbours as they are by then, like the original. */
  cut(text: string): Piece[] {
    const pieces: string[] = [];
    let end = 0;
    for (const match of this.#tokens.matches(text)) {
      if (match.index > end) pieces.push(text.slice(end, match.index));
      pieces.push(match.text);
      end = match.index + match.text.length;
    }
    if (end < text.length) pieces.push(text.slice(end));

    for (let i = 0; i < pieces.length; i++) {
      const flags = this.#tokens.get(pieces[i])?.token;
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
      .map((piece) => ({ text: piece, id: this.#tokens.get(piece)?.id }));
  }
}
