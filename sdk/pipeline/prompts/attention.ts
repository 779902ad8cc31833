import { SDError } from '../../errors.ts';
import { SPACE, WORD } from '../../tokenizer/python-regex.ts';

/** A run of text and how much attention it gets. */
export interface WeightedText {
  text: string;
  weight: number;
}

/** What `BREAK` becomes: not text but the end of a chunk. */
export const isBreak = ({ text, weight }: WeightedText) => text === 'BREAK' && weight === -1;

/** Escaped brackets and backslash; brackets; `:1.2)`; a run of plain text; a lone colon. */
const TOKEN = new RegExp(
  String.raw`\\[()[\]\\]|\\|\(|\[|:${SPACE}*([+-]?[.0-9]+)${SPACE}*\)|\)|\]|[^\\()[\]:]+|:`,
  'gu',
);
const BREAK = new RegExp(`${SPACE}*(?<!${WORD})BREAK(?!${WORD})${SPACE}*`, 'u');

const ROUND = 1.1;
const SQUARE = 1 / 1.1;

/**
 * Parses A1111's attention syntax (behaviour of `prompt_parser.parse_prompt_attention`):
 * `(text)` × 1.1, `[text]` × 1/1.1, `(text:1.5)` × 1.5, nested at will; a backslash makes a bracket
 * literal; brackets left open count to the end; brackets that close nothing are text. Weights are
 * products in the order the brackets close, so that they agree to the last bit.
 * @throws SDError INVALID_PROMPT for a weight like `1.2.3`.
 */
export function parseAttention(prompt: string): WeightedText[] {
  const parts: WeightedText[] = [];
  const round: number[] = [];
  const square: number[] = [];
  const multiplyFrom = (start: number, factor: number) => {
    for (const part of parts.slice(start)) part.weight *= factor;
  };

  for (const [token, weight] of prompt.matchAll(TOKEN)) {
    if (token.startsWith('\\')) parts.push({ text: token.slice(1), weight: 1 });
    else if (token === '(') round.push(parts.length);
    else if (token === '[') square.push(parts.length);
    else if (weight !== undefined && round.length > 0) {
      multiplyFrom(round.pop()!, parseWeight(weight));
    } else if (token === ')' && round.length > 0) multiplyFrom(round.pop()!, ROUND);
    else if (token === ']' && square.length > 0) multiplyFrom(square.pop()!, SQUARE);
    else {
      token.split(BREAK).forEach((text, i) => {
        if (i > 0) parts.push({ text: 'BREAK', weight: -1 });
        parts.push({ text, weight: 1 });
      });
    }
  }
  for (const start of round) multiplyFrom(start, ROUND);
  for (const start of square) multiplyFrom(start, SQUARE);
  return joinEqual(parts);
}

function parseWeight(text: string): number {
  const weight = Number(text);
  if (Number.isNaN(weight)) {
    throw new SDError(
      'INVALID_PROMPT',
      `"${text}" is not a number: write a weight like (text:1.2).`,
    );
  }
  return weight;
}

/** Neighbours of the same weight become one; nothing at all becomes one empty text. */
function joinEqual(parts: WeightedText[]): WeightedText[] {
  const joined: WeightedText[] = [];
  for (const part of parts) {
    const last = joined.at(-1);
    if (last && last.weight === part.weight) last.text += part.text;
    else joined.push({ ...part });
  }
  return joined.length > 0 ? joined : [{ text: '', weight: 1 }];
}
