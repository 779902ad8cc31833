import type { PackedParam } from '../backends/backend.ts';
import { SDError } from '../errors.ts';
import type { Param } from '../graph/index.ts';
import type { ModelSource } from '../pipeline/model-source.ts';
import { float32ToFloat16 } from '../small-floats.ts';
import type { Tokenizer } from '../tokenizer/tokenizer.ts';
import { readTensorFile, type TensorFile } from './tensor-file.ts';
import { parseTextualInversion, type EmbeddingVectors } from './textual-inversion.ts';

type TextPart = 'text_encoder' | 'text_encoder_2';

/** A word, and the vectors it stands for in each text encoder. */
export interface Embedding {
  readonly token: string;
  readonly vectors: ReadonlyMap<TextPart, EmbeddingVectors>;
}

const TABLE = 'text_model.embeddings.token_embedding.weight';
const TOKENIZERS = { text_encoder: 'tokenizer', text_encoder_2: 'tokenizer_2' } as const;

/** Reads embedding files; a word that neither the caller nor the file gives is the file's name. */
export async function readEmbeddings(
  wanted: readonly { readonly file: TensorFile; readonly token: string | undefined }[],
  signal?: AbortSignal,
): Promise<Embedding[]> {
  const embeddings: Embedding[] = [];
  for (const { file, token } of wanted) {
    const parsed = parseTextualInversion((await readTensorFile(file, signal)).tensors);
    const stem = file.name
      .split(/[?#]/)[0]
      .split('/')
      .pop()!
      .replace(/\.\w+$/, '');
    const word = token ?? parsed.token ?? decodeURIComponent(stem);
    embeddings.push({ token: word, vectors: parsed.vectors });
  }
  return embeddings;
}

/**
 * A model whose prompts know the words of textual inversions (Gal 2022): each vector becomes a new
 * token at the end of the vocabulary, and a row at the end of the token embedding.
 */
export function withEmbeddings(source: ModelSource, embeddings: readonly Embedding[]): ModelSource {
  const parts = new Map<TextPart, Promise<Extended>>();
  const extended = (part: TextPart): Promise<Extended> => {
    const known = parts.get(part) ?? extend(source, part, embeddings);
    parts.set(part, known);
    return known;
  };
  const isText = (part: string): part is TextPart => part in TOKENIZERS;
  return {
    ...source,
    tokenizer: async (name) =>
      (await extended(name === 'tokenizer' ? 'text_encoder' : 'text_encoder_2')).tokenizer,
    config: async (part) => (isText(part) ? (await extended(part)).config : source.config(part)),
    async *weights(part, params, dtype, signal, names) {
      if (!isText(part)) return yield* source.weights(part, params, dtype, signal, names);
      const { vocabulary, rows } = await extended(part);
      const table = params.get(TABLE)!;
      const [, dim] = table.shape;
      const plain: Param = { ...table, shape: [vocabulary, dim] };
      const inner = new Map(params).set(TABLE, plain);
      for await (const param of source.weights(part, inner, dtype, signal, names))
        yield param.name === TABLE ? appendRows(param, table.shape, rows, part) : param;
    },
  };
}

interface Extended {
  readonly tokenizer: Tokenizer;
  readonly config: unknown;
  /** Rows of the stored table. */
  readonly vocabulary: number;
  /** New rows by id. */
  readonly rows: ReadonlyMap<number, Float32Array>;
}

async function extend(
  source: ModelSource,
  part: TextPart,
  embeddings: readonly Embedding[],
): Promise<Extended> {
  const tokenizer = await source.tokenizer(TOKENIZERS[part]);
  const config = (await source.config(part)) as Readonly<Record<string, unknown>>;
  const vocabulary = typeof config.vocab_size === 'number' ? config.vocab_size : 49408;
  const rows = new Map<number, Float32Array>();
  for (const { token, vectors } of embeddings) {
    const own = vectors.get(part);
    if (!own)
      throw new SDError('WEIGHTS_MISMATCH', `The embedding ${token} has no vectors for the ${part} of this model.`); // prettier-ignore
    tokenizer.addTokens(token, own.count).forEach((id, i) => {
      if (id < vocabulary)
        throw new SDError('INVALID_MODEL', `The tokenizer has fewer tokens than the ${part}: ${token} cannot be added.`); // prettier-ignore
      rows.set(id, own.data.subarray(i * own.dim, (i + 1) * own.dim));
    });
  }
  const size = Math.max(vocabulary, ...[...rows.keys()].map((id) => id + 1));
  return { tokenizer, config: { ...config, vocab_size: size }, vocabulary, rows };
}

function appendRows(
  param: PackedParam,
  shape: readonly number[],
  rows: ReadonlyMap<number, Float32Array>,
  part: string,
): PackedParam {
  const [count, dim] = shape;
  const element = param.dtype === 'f32' ? 4 : 2;
  const data = new Uint8Array(count * dim * element);
  data.set(param.data);
  for (const [id, row] of rows) {
    if (row.length !== dim)
      throw new SDError(
        'WEIGHTS_MISMATCH',
        `An embedding has ${row.length} numbers per token and the ${part} ${dim}: it is for another model.`,
      );
    const stored = element === 4 ? row.slice() : float32ToFloat16(row.slice());
    data.set(new Uint8Array(stored.buffer), id * dim * element);
  }
  return { ...param, shape, data };
}
