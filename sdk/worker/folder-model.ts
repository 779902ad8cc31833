import type { PackedParam, WeightDtype } from '../backends/backend.ts';
import type { Param } from '../graph/index.ts';
import type { ModelSource, PartName } from '../pipeline/model-source.ts';
import { Tokenizer, type TokenizerVariant } from '../tokenizer/tokenizer.ts';
import { toFloat16, toFloat32 } from '../weights/dtype.ts';
import type { ModelFiles } from '../weights/files.ts';
import { openDiffusersFolder, type DiffusersFolder } from '../weights/folder.ts';
import { resolveNames } from '../weights/names/resolve.ts';
import { packTensor } from '../weights/pack.ts';
import { isWeightDType } from '../weights/tensor.ts';

export interface FolderModelOptions {
  /** Compiled tokenizer. */
  readonly tokenizer: WebAssembly.Module;
  readonly tokenizerVariant?: TokenizerVariant;
  /** Weights saved under a variant's name, such as `fp16`. */
  readonly variant?: string;
  readonly signal?: AbortSignal;
  /** Called with the size of every piece of weights that arrives, in bytes. */
  readonly onBytes?: (count: number) => void;
}

/**
 * A diffusers folder as a pipeline wants it: weights streamed tensor by tensor, renamed, checked,
 * converted and packed on the way.
 * @throws SDError `MISSING_FILE`, `INVALID_MODEL`
 */
export async function openFolderModel(
  files: ModelFiles,
  options: FolderModelOptions,
): Promise<ModelSource> {
  const { variant, signal, onBytes } = options;
  const folder = await openDiffusersFolder(files, { variant, signal });
  return {
    modelIndex: folder.modelIndex,
    has: (part) => folder.components.has(part),
    config: (part) => folder.config(part),
    tokenizer: (part) => openTokenizer(folder, part, options),
    weights: (part, params, dtype, during) =>
      weightsOf(folder, files.name, part, params, dtype, during ?? signal, onBytes),
  };
}

const KINDS = { unet: 'unet', vae: 'vae', text_encoder: 'text', text_encoder_2: 'text' } as const;

async function* weightsOf(
  folder: DiffusersFolder,
  folderName: string,
  part: PartName,
  params: ReadonlyMap<string, Param>,
  dtype: WeightDtype,
  signal: AbortSignal | undefined,
  onBytes: ((count: number) => void) | undefined,
): AsyncIterable<PackedParam> {
  const what = `the ${part} of ${folderName}`;
  const reader = resolveNames(KINDS[part], await folder.tensors(part), params, { what });
  for await (const { name, dtype: from, bytes } of reader.tensors(params.keys(), {
    signal,
    onBytes,
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
