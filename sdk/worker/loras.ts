import type { ModelCache } from '../cache/index.ts';
import { SDError } from '../errors.ts';
import type { Param } from '../graph/index.ts';
import type { PartName } from '../pipeline/model-source.ts';
import type { Part } from '../pipeline/part.ts';
import { loraPart, parseLora, type Lora, type LoraUse } from '../weights/lora.ts';
import { identity } from './open-checkpoint.ts';
import type { LoraRequest } from './protocol.ts';
import { readTensorFile, type TensorFile } from './tensor-file.ts';

/** A LoRA file that the model wears, and how strongly. */
interface WornLora {
  /** Tells the file from others. */
  readonly key: string;
  readonly file: TensorFile;
  /** Parsed for a part when it is first asked for. */
  readonly parsed: Map<PartName, Lora>;
  readonly unet: number;
  readonly text: number;
}

/** The LoRAs that a model wears. They can change: what is merged is never what is kept. */
export class Loras {
  readonly #has: (part: PartName) => boolean;
  readonly #cache: ModelCache | undefined;
  #worn: readonly WornLora[] = [];

  /**
   * @param has the parts of the model.
   * @param cache where files are kept; without it they are fetched when they are named anew.
   */
  constructor(has: (part: PartName) => boolean, cache: ModelCache | undefined) {
    this.#has = has;
    this.#cache = cache;
  }

  /**
   * Reads the files that a model is to be loaded with, from the cache where they are kept.
   * @throws SDError WEIGHTS_MISMATCH where one is for parts that the model lacks; and what reading throws
   */
  async open(requests: readonly LoraRequest[], signal?: AbortSignal): Promise<void> {
    this.#worn = await this.#read(requests, signal);
  }

  /** What changes a part. @throws SDError WEIGHTS_MISMATCH, UNSUPPORTED_FORMAT */
  of(part: PartName, params: ReadonlyMap<string, Param>): LoraUse[] {
    return usesOf(this.#worn, part, params);
  }

  /**
   * Puts others in the place of those that a loaded model wears: the weights that either of them
   * changes are read again and merged anew, so that without any they are bit for bit the model's own.
   *
   * @param parts what LoRAs can change, whose source merges what {@link of} says.
   * @throws SDError as {@link open} and {@link of}, before any weight is touched; what reading weights
   *   throws, once the old ones are back; WORKER_FAILED where those do not come back.
   */
  async change(
    requests: readonly LoraRequest[],
    parts: ReadonlyMap<PartName, Pick<Part, 'params' | 'reload'>>,
  ): Promise<void> {
    const next = await this.#read(requests);
    const old = this.#worn;
    const touched = [...parts].map(([name, part]) => {
      const uses = [...usesOf(old, name, part.params), ...usesOf(next, name, part.params)];
      return { part, names: new Set(uses.flatMap(({ lora }) => namesOf(lora, name))) };
    });
    const reload = async (): Promise<void> => {
      for (const { part, names } of touched) await part.reload(names);
    };
    this.#worn = next;
    try {
      await reload();
    } catch (error) {
      this.#worn = old;
      try {
        await reload();
      } catch (cause) {
        throw new SDError(
          'WORKER_FAILED',
          'The LoRAs could not be changed, nor the weights put back as they were. The next call loads the model anew.',
          { cause, retryable: true },
        );
      }
      throw error;
    }
  }

  async #read(requests: readonly LoraRequest[], signal?: AbortSignal): Promise<WornLora[]> {
    const worn: WornLora[] = [];
    for (const { file: location, unet, text } of requests) {
      const key = JSON.stringify(await identity(location));
      const known = [...this.#worn, ...worn].find((lora) => lora.key === key);
      const file = known?.file ?? (await readTensorFile(location, 'lora', this.#cache, signal));
      for (const { name } of file.tensors)
        if (!this.#has(loraPart(name)))
          throw new SDError(
            'WEIGHTS_MISMATCH',
            `A LoRA changes the ${loraPart(name)}, which this model does not have.`,
          );
      worn.push({ key, file, parsed: known?.parsed ?? new Map(), unet, text });
    }
    return worn;
  }
}

function usesOf(
  worn: readonly WornLora[],
  part: PartName,
  params: ReadonlyMap<string, Param>,
): LoraUse[] {
  if (part === 'vae' || part === 'preview') return [];
  const uses: LoraUse[] = [];
  for (const { file, parsed, unet, text } of worn) {
    const own = file.tensors.filter(({ name }) => loraPart(name) === part);
    if (own.length === 0) continue;
    const lora = parsed.get(part) ?? parseLora(own, new Map([[part, params]]), file.metadata);
    parsed.set(part, lora);
    uses.push({ lora, unet, text });
  }
  return uses;
}

const namesOf = (lora: Lora, part: PartName): string[] =>
  part === 'vae' || part === 'preview' ? [] : [...(lora.get(part)?.keys() ?? [])];
