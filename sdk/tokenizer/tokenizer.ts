import { SDError } from '../errors.ts';
import type { TokenCutter } from './added-tokens.ts';
import { BytePairEncoder } from './byte-pair.ts';
import { joinTokens } from './decode.ts';
import { slow } from './slow.ts';
import { plainToken, resolveSpecialTokens } from './special-tokens.ts';
import type { SpecialTokens } from './special-tokens.ts';
import type { TokenizerVariant } from './variant.ts';
import { parseVocabulary } from './vocabulary.ts';

/** A model's tokenizer files: the texts of the first two, the parsed JSON of the others. */
export interface TokenizerFiles {
  /** Text of `vocab.json`. */
  vocab: string;
  /** Text of `merges.txt`. */
  merges: string;
  /** `tokenizer_config.json` */
  config?: object;
  /** `special_tokens_map.json` */
  specialTokensMap?: object;
  /** `added_tokens.json` */
  addedTokens?: object;
}

/** CLIP's byte-level BPE tokenizer. The text work is TypeScript, split and merges are WebAssembly. */
export class Tokenizer {
  /** Ids of `<|startoftext|>`, `<|endoftext|>` and the padding, from the model's own config. */
  readonly bos: number;
  readonly eos: number;
  readonly pad: number;
  /** Length of `encodeForModel`'s ids: 77 for every Stable Diffusion. */
  readonly modelMaxLength: number;

  readonly #variant: TokenizerVariant;
  readonly #cutter: TokenCutter;
  readonly #encoder: BytePairEncoder;
  readonly #idOf: Map<string, number>;
  readonly #tokenOf: Map<number, string>;
  /** Added tokens that `decode` sets apart by spaces: those that are not special, or beyond the vocabulary. */
  readonly #standalone = new Set<string>();
  /** Textual inversions of more than one vector, in the order they were added. */
  readonly #vectors = new Map<string, string[]>();

  private constructor(
    variant: TokenizerVariant,
    encoder: BytePairEncoder,
    ids: Map<string, number>,
    special: SpecialTokens,
  ) {
    this.#variant = variant;
    this.#cutter = variant.cutter();
    this.modelMaxLength = special.modelMaxLength;
    this.#encoder = encoder;
    this.#idOf = ids;
    this.#tokenOf = new Map([...ids].map(([token, id]) => [id, token]));
    const vocabularySize = ids.size;
    for (const { token, id: given } of special.added) {
      const id = given ?? ids.get(token.content) ?? ids.size;
      ids.set(token.content, id);
      this.#tokenOf.set(id, token.content);
      if (variant.cutsAddedTokens) this.#cutter.add(token, id);
      if (!token.special || id >= vocabularySize) this.#standalone.add(token.content);
    }
    this.bos = ids.get(special.bos.content) as number;
    this.eos = ids.get(special.eos.content) as number;
    this.pad = ids.get(special.pad.content) as number;
  }

  /**
   * @param wasm build/wasm/tokenizer.wasm, compiled or as bytes.
   * @throws SDError INVALID_MODEL when the files are not a CLIP tokenizer's.
   */
  static async create(
    wasm: WebAssembly.Module | BufferSource,
    files: TokenizerFiles,
    variant: TokenizerVariant = slow,
  ): Promise<Tokenizer> {
    const vocabulary = parseVocabulary(files.vocab, files.merges);
    const special = resolveSpecialTokens(files);
    const unknown = vocabulary.ids.get(special.unk.content);
    if (unknown === undefined) {
      throw new SDError(
        'INVALID_MODEL',
        `The tokenizer’s unknown token "${special.unk.content}" is not in its vocab.json.`,
      );
    }
    const encoder = await BytePairEncoder.create(wasm, vocabulary, unknown);
    return new Tokenizer(variant, encoder, vocabulary.ids, special);
  }

  /**
   * Ids of a text of any length, without BOS and EOS. Textual inversions of several vectors are
   * spelled out first, as diffusers' `maybe_convert_prompt` does.
   * @throws SDError INVALID_PROMPT for a lone surrogate.
   */
  encode(text: string): number[] {
    if (/\p{Surrogate}/u.test(text)) {
      throw new SDError(
        'INVALID_PROMPT',
        'The prompt has half a character in it (a lone UTF-16 surrogate); remove it.',
      );
    }
    return this.#cutter
      .cut(this.#spellOut(text))
      .flatMap((piece) => piece.id ?? this.#variant.encode(piece.text, this.#encoder));
  }

  /**
   * What the text encoder takes: BOS, the ids cut to `modelMaxLength` − 2, EOS, padding.
   * `dropped` is the text of what was cut, empty when all fitted.
   * @throws SDError INVALID_PROMPT for a lone surrogate.
   */
  encodeForModel(text: string): { ids: Int32Array; dropped: string } {
    const all = this.encode(text);
    const kept = all.slice(0, this.modelMaxLength - 2);
    const ids = new Int32Array(this.modelMaxLength).fill(this.pad);
    ids.set([this.bos, ...kept, this.eos]);
    return { ids, dropped: this.decode(all.slice(kept.length)) };
  }

  /** Id of a token as the vocabulary spells it, such as `,</w>`; undefined where it has none. */
  idOf(token: string): number | undefined {
    return this.#idOf.get(token);
  }

  /** A token as the vocabulary spells it; empty where there is no such id. */
  tokenOf(id: number): string {
    return this.#tokenOf.get(id) ?? '';
  }

  /** How many ids a text has, without BOS and EOS; what a counter in a user interface shows. */
  count(text: string): number {
    return this.encode(text).length;
  }

  /** Text of ids, as transformers' `decode` gives it; unknown ids are left out. */
  decode(ids: Iterable<number>): string {
    const parts: string[] = [];
    let run: string[] = [];
    const flush = () => {
      if (run.length > 0) parts.push(joinTokens(run));
      run = [];
    };
    for (const id of ids) {
      const token = this.#tokenOf.get(id);
      if (token === undefined) continue;
      if (this.#standalone.has(token)) {
        flush();
        parts.push(token);
      } else run.push(token);
    }
    flush();
    return parts.join(' ');
  }

  /**
   * Registers a textual inversion of `vectors` vectors under the word `token`, as diffusers'
   * `load_textual_inversion`: it becomes `token`, `token_1`, …, each with a new id at the end.
   * Returns the ids, which are the rows the vectors take in the token embedding.
   * @throws SDError INVALID_OPTION when the word is empty or already a token.
   */
  addTokens(token: string, vectors = 1): number[] {
    const names = [token];
    for (let i = 1; i < vectors; i++) names.push(`${token}_${i}`);
    for (const name of names) {
      if (token === '' || this.#idOf.has(name)) {
        throw new SDError(
          'INVALID_OPTION',
          `"${name}" cannot name a textual inversion: it is a token already. Choose another word.`,
        );
      }
    }
    if (vectors > 1) this.#vectors.set(token, names);
    return names.map((name) => {
      const id = this.#idOf.size;
      this.#idOf.set(name, id);
      this.#tokenOf.set(id, name);
      this.#cutter.add(plainToken(name, false), id);
      this.#standalone.add(name);
      return id;
    });
  }

  #spellOut(text: string): string {
    if (this.#vectors.size === 0) return text;
    const present = new Set(this.#cutter.cut(text).map((piece) => piece.id));
    for (const [token, names] of this.#vectors) {
      if (present.has(this.#idOf.get(token))) text = text.replaceAll(token, names.join(' '));
    }
    return text;
  }
}
