import { isBreak } from './attention.ts';
import type { WeightedText } from './attention.ts';

/** Tokens of a prompt in one chunk; BOS and EOS make it the text encoder's 77. */
export const CHUNK_LENGTH = 75;

/** One pass of the text encoder. */
export interface Chunk {
  /** BOS, 75 tokens, EOS. */
  tokens: number[];
  /** Weight of each of the 77; 1 for BOS, EOS and padding. */
  weights: number[];
}

export interface ChunkTokenizer {
  encode(text: string): number[];
  readonly bos: number;
  readonly eos: number;
}

export interface ChunkOptions {
  /** Id of `,</w>`, at which a chunk may end early. */
  comma?: number;
  /** How far from the end of a chunk a comma may be to end it. Default 20, A1111's; 0 never. */
  commaBacktrack?: number;
}

/**
 * Splits a prompt of any length into chunks of 75 tokens (behaviour of A1111's
 * `FrozenCLIPEmbedderWithCustomWordsBase.tokenize_line`). Each text is tokenised by itself. What
 * follows a comma near the end of a full chunk moves to the next one, and `BREAK` ends a chunk. An
 * empty prompt is one empty chunk.
 * @returns the chunks, and the number of tokens as A1111 counts them: a chunk that was ended early
 * counts 75.
 */
export function chunkPrompt(
  parts: readonly WeightedText[],
  tokenizer: ChunkTokenizer,
  { comma, commaBacktrack = 20 }: ChunkOptions = {},
): { chunks: Chunk[]; tokenCount: number } {
  const { bos, eos } = tokenizer;
  const chunks: Chunk[] = [];
  let tokens: number[] = [];
  let weights: number[] = [];
  let tokenCount = 0;
  /** Place of the last comma in this chunk. */
  let lastComma = -1;

  /** Pads the chunk, closes it and starts another. */
  const close = (counted: number): void => {
    const padding = CHUNK_LENGTH - tokens.length;
    chunks.push({
      tokens: [bos, ...tokens, ...new Array<number>(padding + 1).fill(eos)],
      weights: [1, ...weights, ...new Array<number>(padding + 1).fill(1)],
    });
    [tokens, weights, lastComma] = [[], [], -1];
    tokenCount += counted;
  };
  /** Ends a full chunk after its last comma, if that is near enough, and takes the rest along. */
  const moveAfterComma = (): void => {
    if (lastComma < 0 || CHUNK_LENGTH - lastComma > commaBacktrack) return;
    const start = lastComma + 1;
    const moved = [tokens.splice(start), weights.splice(start)];
    close(CHUNK_LENGTH);
    [tokens, weights] = moved;
  };

  for (const part of parts) {
    if (isBreak(part)) {
      close(CHUNK_LENGTH);
      continue;
    }
    for (const token of tokenizer.encode(part.text)) {
      if (token === comma) lastComma = tokens.length;
      else if (tokens.length === CHUNK_LENGTH) moveAfterComma();
      if (tokens.length === CHUNK_LENGTH) close(CHUNK_LENGTH);
      tokens.push(token);
      weights.push(part.weight);
    }
  }
  if (tokens.length > 0 || chunks.length === 0) close(tokens.length);
  return { chunks, tokenCount };
}

/** The ids of a chunk for an encoder that pads with another token than EOS (SD 2.x, SDXL's second). */
export function padAfterEnd(tokens: readonly number[], eos: number, pad: number): number[] {
  const end = tokens.indexOf(eos);
  return tokens.map((token, i) => (i > end ? pad : token));
}
