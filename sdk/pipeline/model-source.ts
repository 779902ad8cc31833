import type { PackedParam, WeightDtype } from '../backends/backend.ts';
import type { Param } from '../graph/index.ts';
import type { Tokenizer } from '../tokenizer/tokenizer.ts';

/** Parts of a model that hold weights, by diffusers' names. */
export type PartName = 'text_encoder' | 'text_encoder_2' | 'unet' | 'vae' | 'preview';

/** Where a model's configs, tokenizers and weights come from: a folder, a file, the cache. */
export interface ModelSource {
  /** Parsed `model_index.json`; `{}` where there is none. */
  readonly modelIndex: Readonly<Record<string, unknown>>;
  has(part: PartName): boolean;
  /** Parsed `config.json` of a part, or `scheduler_config.json`. */
  config(part: PartName | 'scheduler'): Promise<unknown>;
  tokenizer(part: 'tokenizer' | 'tokenizer_2'): Promise<Tokenizer>;
  /**
   * The weights of a part, each once, checked against `params` and packed.
   * @param names which of them; default all
   * @throws SDError `WEIGHTS_MISMATCH` and whatever the storage throws
   */
  weights(
    part: PartName,
    params: ReadonlyMap<string, Param>,
    dtype: WeightDtype,
    signal?: AbortSignal,
    names?: ReadonlySet<string>,
  ): AsyncIterable<PackedParam>;
}
