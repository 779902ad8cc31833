import type { PackedParam, WeightDtype } from '../backends/backend.ts';
import type { Param } from '../graph/index.ts';
import type { ModelSource, PartName } from '../pipeline/model-source.ts';
import { Tokenizer, type TokenizerVariant } from '../tokenizer/tokenizer.ts';
import { toFloat16, toFloat32 } from '../weights/dtype.ts';
import type { ModelFiles } from '../weights/files.ts';
import { openDiffusersFolder, type DiffusersFolder } from '../weights/folder.ts';
import { resolveNames } from '../weights/names/resolve.ts';
import { packTensor } from '../weights/pack.ts';
import { byteLength, isWeightDType, type TensorReader } from '../weights/tensor.ts';

export interface FolderModelOptions {
  /** Compiled tokenizer. */
  readonly tokenizer: WebAssembly.Module;
  readonly tokenizerVariant?: TokenizerVariant;
  /** Weights saved under a variant's name, such as `fp16`. */
  readonly variant?: string;
  readonly signal?: AbortSignal;
  /** Called with the size of every piece of weights that arrives, in bytes, and the part it is of. */
  readonly onBytes?: (count: number, part: PartName) => void;
}

export interface FolderModel extends ModelSource {
  /** What all weights hold, as stored, before any is fetched: from the headers of their files. */
  totalBytes(): Promise<number>;
}

/**
 * A diffusers folder as a pipeline wants it: weights streamed tensor by tensor, renamed, checked,
 * converted and packed on the way.
 * @throws SDError `MISSING_FILE`, `INVALID_MODEL`
 */
export async function openFolderModel(
  files: ModelFiles,
  options: FolderModelOptions,
): Promise<FolderModel> {
  const { variant, signal, onBytes } = options;
  const folder = await openDiffusersFolder(files, { variant, signal });
  const readers = new Map<PartName, Promise<TensorReader>>();
  const readerOf = (part: PartName): Promise<TensorReader> => {
    const reader = readers.get(part) ?? folder.tensors(part);
    readers.set(part, reader);
    return reader;
  };
  const parts = (Object.keys(KINDS) as PartName[]).filter((part) => folder.components.has(part));
  return {
    totalBytes: async () => {
      let total = 0;
      for (const part of parts) {
        const reader = await readerOf(part);
        for (const name of reader.names()) total += byteLength(reader.info(name)!);
      }
      return total;
    },
    modelIndex: folder.modelIndex,
    has: (part) => folder.components.has(part),
    config: (part) => folder.config(part),
    tokenizer: (part) => openTokenizer(folder, part, options),
    weights: (part, params, dtype, during) =>
      weightsOf(readerOf(part), files.name, part, params, dtype, during ?? signal, onBytes),
  };
}

const KINDS = { unet: 'unet', vae: 'vae', text_encoder: 'text', text_encoder_2: 'text' } as const;

async function* weightsOf(
  opened: Promise<TensorReader>,
  folderName: string,
  part: PartName,
  params: ReadonlyMap<string, Param>,
  dtype: WeightDtype,
  signal: AbortSignal | undefined,
  onBytes: FolderModelOptions['onBytes'],
): AsyncIterable<PackedParam> {
  const what = `the ${part} of ${folderName}`;
  const reader = resolveNames(KINDS[part], await opened, params, { what });
  for await (const { name, dtype: from, bytes } of reader.tensors(params.keys(), {
    signal,
    onBytes: (count) => onBytes?.(count, part),
  })) {
    const { kind, shape } = params.get(name)!;
    if (!isWeightDType(from)) continue; // checked with the rest of the table: cannot happen
    const isHalf = dtype === 'f16' && kind !== 'vector';
    const values = isHalf ? toFloat16(bytes, from) : toFloat32(bytes, from);
    const packed = packTensor(kind, values, shape, dtype === 'i8' ? 'int8' : dtype);
    const { data, scales } = packed;
    yield {
      name,
      kind,
      shape,
      dtype: packed.dtype === 'int8' ? 'i8' : packed.dtype,
      data: new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
      scales,
    };
  }
}

async function openTokenizer(
  folder: DiffusersFolder,
  part: 'tokenizer' | 'tokenizer_2',
  options: FolderModelOptions,
): Promise<Tokenizer> {
  const json = async (name: string): Promise<object | undefined> => {
    const text = await folder.optionalText(`${part}/${name}`);
    return text === undefined ? undefined : (JSON.parse(text) as object);
  };
  const files = {
    vocab: await folder.text(`${part}/vocab.json`),
    merges: await folder.text(`${part}/merges.txt`),
    config: await json('tokenizer_config.json'),
    specialTokensMap: await json('special_tokens_map.json'),
    addedTokens: await json('added_tokens.json'),
  };
  return Tokenizer.create(options.tokenizer, files, { variant: options.tokenizerVariant });
}
