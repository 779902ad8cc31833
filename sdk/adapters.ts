import { SDError } from './errors.ts';
import { locate, type ModelSource } from './location.ts';
import type { EmbeddingRequest, LoraRequest } from './worker/protocol.ts';

/** A LoRA file to merge into a model. */
export interface LoraOption {
  /** The URL of the file, or the file in a list of one. */
  source: ModelSource;
  /** How strongly it acts; negative turns it round. Default 1. */
  strength?: number;
  /** The same for the text encoders. Default: `strength`. */
  textStrength?: number;
}

/** @throws SDError INVALID_OPTION */
export function locateLoras(options: readonly LoraOption[]): LoraRequest[] {
  if (!Array.isArray(options)) throw new SDError('INVALID_OPTION', 'loras must be a list.');
  return options.map(({ source, strength = 1, textStrength = strength }: LoraOption) => {
    for (const value of [strength, textStrength])
      if (!Number.isFinite(value))
        throw new SDError(
          'INVALID_OPTION',
          `The strength of a LoRA must be a number, not ${value}.`,
        );
    return { file: locate(source), unet: strength, text: textStrength };
  });
}

/** A textual inversion: a file whose vectors a word of the prompt stands for. */
export interface EmbeddingOption {
  /** The URL of the file, or the file in a list of one. */
  source: ModelSource;
  /** The word. Default: the one in the file, else the file's name. */
  token?: string;
}

/** @throws SDError INVALID_OPTION */
export function locateEmbeddings(options: readonly EmbeddingOption[]): EmbeddingRequest[] {
  if (!Array.isArray(options)) throw new SDError('INVALID_OPTION', 'embeddings must be a list.');
  return options.map(({ source, token }: EmbeddingOption) => {
    if (token !== undefined && (typeof token !== 'string' || token.trim() === ''))
      throw new SDError('INVALID_OPTION', 'The token of an embedding must be a word.');
    return { file: locate(source), token };
  });
}
