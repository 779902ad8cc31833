import { invalid } from '../../checks.ts';
import { isBreak } from './attention.ts';
import type { WeightedText } from './attention.ts';

/** Tokens of a prompt in one chunk; BOS and EOS make it the text encoder's 77. */
export const CHUNK_LENGTH = 75;

/** One pass of the text encoder. */
export interface Chunk<E = never> {
  /** BOS, 75 tokens, EOS. */
  tokens: number[];
  /** Weight of each of the 77; 1 for BOS, EOS and padding. */
  weights: number[];
  /** Embeddings whose vectors replace the token embeddings from `offset` on, BOS not counted. */
  embeddings: { offset: number; embedding: E }[];
}

export interface ChunkTokenizer {
  encode(text: string): number[];
  readonly bos: number;
  readonly eos: number;
}

/** A textual inversion of A1111: its name's tokens are replaced by its vectors. */
export interface EmbeddingWord<E> {
  /** Tokens of the name. */
  ids: readonly number[];
  /** Number of vectors. */
  vectors: number;
  embedding: E;
}

export interface ChunkOptions<E> {
  /** Id of `,</w>`, at which a chunk may end early. */
  comma?: number;
  /** How far from the end of a chunk a comma may be to end it. Default 20, A1111's; 0 never. */
  commaBacktrack?: number;
  embeddings?: readonly EmbeddingWord<E>[];
}

/**
 * Splits a prompt of any length into chunks of 75 tokens (behaviour of A1111's
 * `FrozenCLIPEmbedderWithCustomWordsBase.tokenize_line`). Each text is tokenised by itself. What
 * follows a comma near the end of a full chunk moves to the next one, `BREAK` ends a chunk, and the
 * vectors of an embedding stay together. An empty prompt is one empty chunk. One thing differs: an
 * embedding that is moved with what follows a comma takes its vectors along, where A1111 leaves them
 * behind in the padding.
 * @returns the chunks, and the number of tokens as A1111 counts them: a chunk that was ended early
 * counts 75.
 * @throws SDError INVALID_OPTION for an embedding of more than 75 vectors.
 */
export function chunkPrompt<E = never>(
  parts: readonly WeightedText[],
  tokenizer: ChunkTokenizer,
  options: ChunkOptions<E> = {},
): { chunks: Chunk<E>[]; tokenCount: number } {
  const builder = new ChunkBuilder<E>(tokenizer);
  const backtrack = options.commaBacktrack ?? 20;
  // The longest name wins where several fit.
  const words = [...(options.embeddings ?? [])].sort((a, b) => b.ids.length - a.ids.length);

  const tooLong = words.find(({ vectors }) => vectors > CHUNK_LENGTH);
  if (tooLong) {
    throw invalid(
      `A textual inversion of ${tooLong.vectors} vectors does not fit into ${CHUNK_LENGTH} tokens.`,
    );
  }

  for (const part of parts) {
    if (isBreak(part)) {
      builder.next();
      continue;
    }
    const tokens = tokenizer.encode(part.text);
    let position = 0;
    while (position < tokens.length) {
      const token = tokens[position];
      if (token === options.comma) builder.markComma();
      else if (builder.isFull) builder.moveAfterComma(backtrack);
      if (builder.isFull) builder.next();

      const word = words.find(({ ids }) => ids.every((id, i) => tokens[position + i] === id));
      if (word && word.ids.length > 0) {
        if (builder.room < word.vectors) builder.next();
        builder.addEmbedding(word.embedding, word.vectors, part.weight);
        position += word.ids.length;
      } else {
        builder.add(token, part.weight);
        position++;
      }
    }
  }
  return builder.finish();
}

/** What fills up the shorter prompts of a batch. */
export function emptyChunk<E = never>({ bos, eos }: ChunkTokenizer): Chunk<E> {
  return {
    tokens: [bos, ...new Array<number>(CHUNK_LENGTH + 1).fill(eos)],
    weights: new Array<number>(CHUNK_LENGTH + 2).fill(1),
    embeddings: [],
  };
}

/** Gives all prompts of a batch the same number of chunks, by empty ones at the end. */
export function equalizeChunks<E>(batch: Chunk<E>[][], tokenizer: ChunkTokenizer): Chunk<E>[][] {
  const count = Math.max(...batch.map((chunks) => chunks.length));
  return batch.map((chunks) => [
    ...chunks,
    ...Array.from({ length: count - chunks.length }, () => emptyChunk<E>(tokenizer)),
  ]);
}

/** The ids of a chunk for an encoder that pads with another token than EOS (SD 2.x, SDXL's second). */
export function padAfterEnd(tokens: readonly number[], eos: number, pad: number): number[] {
  const end = tokens.indexOf(eos);
  return tokens.map((token, i) => (i > end ? pad : token));
}

class ChunkBuilder<E> {
  readonly #tokenizer: ChunkTokenizer;
  readonly #chunks: Chunk<E>[] = [];
  #chunk: Chunk<E> = { tokens: [], weights: [], embeddings: [] };
  #tokenCount = 0;
  /** Place of the last comma in this chunk. */
  #comma = -1;

  constructor(tokenizer: ChunkTokenizer) {
    this.#tokenizer = tokenizer;
  }

  get room(): number {
    return CHUNK_LENGTH - this.#chunk.tokens.length;
  }

  get isFull(): boolean {
    return this.room === 0;
  }

  markComma(): void {
    this.#comma = this.#chunk.tokens.length;
  }

  add(token: number, weight: number): void {
    this.#chunk.tokens.push(token);
    this.#chunk.weights.push(weight);
  }

  /** The vectors take the places of tokens 0. */
  addEmbedding(embedding: E, vectors: number, weight: number): void {
    this.#chunk.embeddings.push({ offset: this.#chunk.tokens.length, embedding });
    for (let i = 0; i < vectors; i++) this.add(0, weight);
  }

  /** Ends a full chunk after its last comma, if that is near enough, and takes the rest along. */
  moveAfterComma(backtrack: number): void {
    if (backtrack === 0 || this.#comma === -1) return;
    if (this.#chunk.tokens.length - this.#comma > backtrack) return;
    const start = this.#comma + 1;
    const tokens = this.#chunk.tokens.splice(start);
    const weights = this.#chunk.weights.splice(start);
    const moved = this.#chunk.embeddings.filter(({ offset }) => offset >= start);
    this.#chunk.embeddings = this.#chunk.embeddings.filter(({ offset }) => offset < start);
    this.next();
    const embeddings = moved.map((entry) => ({ ...entry, offset: entry.offset - start }));
    this.#chunk = { tokens, weights, embeddings };
  }

  /** Pads the chunk, closes it and starts another. */
  next(): void {
    this.#tokenCount += CHUNK_LENGTH;
    this.#close();
  }

  #close(): void {
    const { bos, eos } = this.#tokenizer;
    while (!this.isFull) this.add(eos, 1);
    this.#chunk.tokens = [bos, ...this.#chunk.tokens, eos];
    this.#chunk.weights = [1, ...this.#chunk.weights, 1];
    this.#chunks.push(this.#chunk);
    this.#chunk = { tokens: [], weights: [], embeddings: [] };
    this.#comma = -1;
  }

  finish(): { chunks: Chunk<E>[]; tokenCount: number } {
    if (this.#chunk.tokens.length > 0 || this.#chunks.length === 0) {
      this.#tokenCount += this.#chunk.tokens.length;
      this.#close();
    }
    return { chunks: this.#chunks, tokenCount: this.#tokenCount };
  }
}
