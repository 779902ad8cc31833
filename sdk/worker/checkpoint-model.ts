import type { PackedParam, WeightDtype } from '../backends/backend.ts';
import type { CachedModel, Item } from '../cache/index.ts';
import type { Param } from '../graph/index.ts';
import type { ModelSource, PartName } from '../pipeline/model-source.ts';
import { Tokenizer } from '../tokenizer/tokenizer.ts';
import { isExactly, isIgnorable } from '../weights/check.ts';
import type { Checkpoint } from '../weights/checkpoint.ts';
import type { LoadFormats } from '../weights/formats.ts';
import { packParameters, type PackedParameter } from '../weights/importer.ts';
import { byteLength, isWeightDType, type TensorReader } from '../weights/tensor.ts';

export interface CheckpointModelOptions {
  /** Compiled tokenizer. */
  readonly tokenizer: WebAssembly.Module;
  readonly formats: LoadFormats;
  /** Which weights to take where a file holds the averaged ones too. Default `ema`. */
  readonly weights?: 'ema' | 'raw';
  /** Changes weights on their way to the engine; what is kept is free of it. */
  readonly merge?: (
    part: PartName,
    params: ReadonlyMap<string, Param>,
    weights: AsyncIterable<PackedParam>,
  ) => AsyncIterable<PackedParam>;
  /** Where packed weights are kept between sessions; without it they are not. */
  readonly cached?: CachedModel;
  readonly signal?: AbortSignal;
  /** Called with the bytes of weights that have come, as their file holds them. */
  readonly onBytes?: (count: number, part: PartName, fromCache: boolean) => void;
}

export interface CheckpointModel extends ModelSource {
  /** What all weights hold, as stored, before any is fetched: from the headers of their files. */
  totalBytes(): Promise<number>;
}

const KINDS = {
  unet: 'unet',
  vae: 'vae',
  preview: 'vae',
  text_encoder: 'text',
  text_encoder_2: 'text',
} as const;

/** Of a single file, what belongs to each part. */
const PREFIXES = {
  unet: /^model\.diffusion_model\./,
  vae: /^first_stage_model\./,
  preview: /^first_stage_model\./,
  text_encoder: /^(cond_stage_model\.|conditioner\.embedders\.0\.)/,
  text_encoder_2: /^conditioner\.embedders\.(1\.|0\.model\.)/,
} as const;

/**
 * A checkpoint as a pipeline wants it: weights streamed tensor by tensor, renamed, checked,
 * converted, packed and kept on the way; read from the cache where they are kept already.
 */
export function checkpointModel(
  checkpoint: Checkpoint,
  options: CheckpointModelOptions,
): CheckpointModel {
  const { cached } = options;
  const parts = (Object.keys(KINDS) as PartName[]).filter((part) =>
    checkpoint.components.has(part),
  );
  const remember = async (path: string, load: () => Promise<string>): Promise<string> =>
    cached ? (await cached.text(path, load))! : load();
  return {
    modelIndex: checkpoint.modelIndex,
    has: (part) => checkpoint.components.has(part),
    config: (part) => checkpoint.config(part),
    tokenizer: (part) => openTokenizer(checkpoint, part, options),
    totalBytes: async () =>
      Number(
        await remember('bytes.txt', async () => {
          let total = 0;
          for (const part of parts) total += partBytes(await checkpoint.tensors(part), part);
          return String(total);
        }),
      ),
    weights: (part, params, dtype, during, names = new Set(params.keys())) => {
      const signal = during ?? options.signal;
      const load = (missing: Iterable<string>): AsyncIterable<PackedParameter> =>
        fetchWeights(checkpoint, part, params, dtype, missing, { ...options, signal });
      const plain = cached
        ? cachedWeights(cached, part, names, dtype, load, { ...options, signal })
        : load(names);
      return options.merge?.(part, params, plain) ?? plain;
    },
  };
}

async function* fetchWeights(
  checkpoint: Checkpoint,
  part: PartName,
  params: ReadonlyMap<string, Param>,
  dtype: WeightDtype,
  names: Iterable<string>,
  { formats, signal, weights, onBytes }: CheckpointModelOptions,
): AsyncIterable<PackedParameter> {
  let reader = await checkpoint.tensors(part);
  const what = `the ${part} of ${checkpoint.name}`;
  if (!isExactly(params, reader)) {
    const { resolveNames } = await formats(signal);
    reader = resolveNames(KINDS[part], reader, params, { what, weights });
  }
  yield* packParameters(reader, params, dtype, names, {
    signal,
    onBytes: (count) => onBytes?.(count, part, false),
  });
}

/** What the cache keeps of a parameter besides its bytes. */
interface Meta {
  readonly kind: PackedParameter['kind'];
  readonly shape: readonly number[];
  readonly dtype: WeightDtype;
  readonly fileBytes: number;
}

async function* cachedWeights(
  cached: CachedModel,
  part: PartName,
  names: Iterable<string>,
  dtype: WeightDtype,
  load: (names: Iterable<string>) => AsyncIterable<PackedParameter>,
  { signal, onBytes }: CheckpointModelOptions,
): AsyncIterable<PackedParam> {
  const fetched = new Set<string>();
  async function* toItems(missing: readonly string[]): AsyncIterable<Item> {
    for await (const parameter of load(missing)) {
      const { name, kind, shape, dtype: stored, data, scales, fileBytes } = parameter;
      const meta: Meta = { kind, shape, dtype: stored, fileBytes };
      fetched.add(name);
      yield { name, meta, blocks: scales ? [data, new Uint8Array(scales.buffer)] : [data] };
    }
  }
  const items = cached.items(`${part}:${dtype}`, names, toItems, { signal });
  for await (const { name, meta, blocks } of items) {
    const { kind, shape, dtype: stored, fileBytes } = meta as Meta;
    // What was fetched has been counted as it came.
    if (!fetched.has(name)) onBytes?.(fileBytes, part, true);
    const [data, scales] = blocks as Uint8Array<ArrayBuffer>[];
    yield {
      name,
      kind,
      shape,
      dtype: stored,
      data,
      scales: scales && new Uint16Array(scales.buffer, scales.byteOffset, scales.byteLength / 2),
    };
  }
}

/** Bytes of a part in its file. A single file holds others too, and its averages a second time. */
function partBytes(reader: TensorReader, part: PartName): number {
  let own = 0;
  let all = 0;
  for (const name of reader.names()) {
    const info = reader.info(name)!;
    if (isIgnorable(name) || !isWeightDType(info.dtype)) continue;
    const bytes = byteLength(info);
    all += bytes;
    if (PREFIXES[part].test(name)) own += bytes;
  }
  return own || all;
}

async function openTokenizer(
  checkpoint: Checkpoint,
  part: 'tokenizer' | 'tokenizer_2',
  options: CheckpointModelOptions,
): Promise<Tokenizer> {
  const json = async (name: string): Promise<object | undefined> => {
    const text = await checkpoint.optionalText(`${part}/${name}`);
    return text === undefined ? undefined : (JSON.parse(text) as object);
  };
  const files = {
    vocab: await checkpoint.text(`${part}/vocab.json`),
    merges: await checkpoint.text(`${part}/merges.txt`),
    config: await json('tokenizer_config.json'),
    specialTokensMap: await json('special_tokens_map.json'),
    addedTokens: await json('added_tokens.json'),
  };
  return Tokenizer.create(options.tokenizer, files);
}
