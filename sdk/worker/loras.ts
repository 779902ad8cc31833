import { CachedModel, sha256, type ModelCache } from '../cache/index.ts';
import { SDError } from '../errors.ts';
import type { Param } from '../graph/index.ts';
import type { PartName } from '../pipeline/model-source.ts';
import { loraPart, parseLora, type LoraUse } from '../weights/lora.ts';
import { openTensors } from '../weights/open.ts';
import { SafetensorsReader } from '../weights/safetensors-reader.ts';
import type { RawTensor, TensorReader } from '../weights/tensor.ts';
import { identity, singleFile } from './open-checkpoint.ts';
import type { LoraRequest } from './protocol.ts';

/** A LoRA file in memory: a few to some hundred megabytes. */
interface LoraFile {
  readonly tensors: readonly RawTensor[];
  readonly metadata: ReadonlyMap<string, string>;
  readonly unet: number;
  readonly text: number;
}

/** The LoRAs that a model is loaded with. */
export class Loras {
  readonly #files: readonly LoraFile[];

  private constructor(files: readonly LoraFile[]) {
    this.#files = files;
  }

  /**
   * Reads the files, from the cache where they are kept.
   * @param has the parts of the model.
   * @throws SDError WEIGHTS_MISMATCH where one is for parts that the model lacks; and what reading throws
   */
  static async open(
    requests: readonly LoraRequest[],
    has: (part: PartName) => boolean,
    cache: ModelCache | undefined,
    signal?: AbortSignal,
  ): Promise<Loras> {
    const files: LoraFile[] = [];
    for (const request of requests) {
      const file = await read(request, cache, signal);
      for (const { name } of file.tensors)
        if (!has(loraPart(name)))
          throw new SDError(
            'WEIGHTS_MISMATCH',
            `A LoRA changes the ${loraPart(name)}, which this model does not have.`,
          );
      files.push(file);
    }
    return new Loras(files);
  }

  /** What changes a part. @throws SDError WEIGHTS_MISMATCH, UNSUPPORTED_FORMAT */
  of(part: PartName, params: ReadonlyMap<string, Param>): LoraUse[] {
    if (part === 'vae') return [];
    const uses: LoraUse[] = [];
    for (const { tensors, metadata, unet, text } of this.#files) {
      const own = tensors.filter(({ name }) => loraPart(name) === part);
      if (own.length > 0)
        uses.push({ lora: parseLora(own, new Map([[part, params]]), metadata), unet, text });
    }
    return uses;
  }
}

async function read(
  { file, unet, text }: LoraRequest,
  cache: ModelCache | undefined,
  signal: AbortSignal | undefined,
): Promise<LoraFile> {
  const source = singleFile(file);
  if (!source)
    throw new SDError('INVALID_OPTION', 'A LoRA is one file: .safetensors, .ckpt, .pt or .bin.');
  let opened: Promise<TensorReader> | undefined;
  const reader = (): Promise<TensorReader> => (opened ??= openTensors(source, signal));
  const key = await identity(file);
  const cached =
    cache?.available === true
      ? new CachedModel(cache, {
          key: await sha256(new TextEncoder().encode(JSON.stringify(['lora', key]))),
          name: source.name,
        })
      : undefined;
  const describe = async (): Promise<string> => {
    const it = await reader();
    const metadata = it instanceof SafetensorsReader ? it.metadata : new Map<string, string>();
    return JSON.stringify({ names: [...it.names()], metadata: [...metadata] });
  };
  const index = JSON.parse(
    (cached ? await cached.text('index.json', describe) : await describe())!,
  ) as { names: string[]; metadata: [string, string][] };

  const tensors: RawTensor[] = [];
  if (!cached) for await (const tensor of (await reader()).tensors()) tensors.push(tensor);
  else {
    const load = async function* (missing: readonly string[]) {
      for await (const { name, dtype, shape, bytes } of (await reader()).tensors(missing, {
        signal,
      }))
        yield { name, meta: { dtype, shape }, blocks: [bytes] };
    };
    for await (const { name, meta, blocks } of cached.items('tensors', index.names, load, {
      signal,
    })) {
      const { dtype, shape } = meta as Pick<RawTensor, 'dtype' | 'shape'>;
      tensors.push({ name, dtype, shape, bytes: new Uint8Array(blocks[0]) });
    }
  }
  return { tensors, metadata: new Map(index.metadata), unet, text };
}
