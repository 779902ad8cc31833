import type { TokenCutter } from './added-tokens.ts';
import type { BytePairEncoder } from './byte-pair.ts';

/**
 * "The CLIP tokenizer" is four different functions, which agree on plain English only. This is what
 * tells them apart; `variants.ts` has all of them.
 */
export interface TokenizerVariant {
  /**
   * Whether the tokens that a model's files add are cut out of the raw text. OpenAI's tokenizer knows no
   * added tokens: its two markers are found by the split.
   */
  readonly cutsAddedTokens: boolean;
  cutter(): TokenCutter;
  /** Ids of a text that holds no added tokens. */
  encode(text: string, encoder: BytePairEncoder): number[];
}
