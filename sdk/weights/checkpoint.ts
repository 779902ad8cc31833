import type { TensorReader } from './tensor.ts';

/** A model's configs, texts and weights, whatever it is stored as, under diffusers' names. */
export interface Checkpoint {
  /** For messages: a URL, a folder, a file. */
  readonly name: string;
  /** Parsed `model_index.json`. */
  readonly modelIndex: Readonly<Record<string, unknown>>;
  /** Names of the parts that are there, such as `unet`. */
  readonly components: ReadonlySet<string>;
  /** `config.json` of a part, or `scheduler_config.json`. */
  config(component: string): Promise<Readonly<Record<string, unknown>>>;
  /** A text file such as `tokenizer/vocab.json`. @throws SDError MISSING_FILE */
  text(path: string): Promise<string>;
  /** As {@link text}; undefined where there is none. */
  optionalText(path: string): Promise<string | undefined>;
  /**
   * The file that holds the weights of a part, which may hold those of others too and name them in
   * its own way. @throws SDError MISSING_FILE, INVALID_FILE, UNSUPPORTED_FORMAT
   */
  tensors(component: string): Promise<TensorReader>;
}

/**
 * Keeps small texts between sessions: gives what is known of `path`, else what `load` gives.
 * Undefined stands for a file that does not exist.
 */
export type Remember = (
  path: string,
  load: () => Promise<string | undefined>,
) => Promise<string | undefined>;
