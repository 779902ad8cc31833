import type { PackedParam } from '../backends/backend.ts';
import { SDError } from '../errors.ts';
import type { Param } from '../graph/index.ts';
import type { PartName } from '../pipeline/model-source.ts';
import type { Part } from '../pipeline/part.ts';
import type { LoraPart } from './lora-names.ts';
import { loraPart, mergeLoras, parseLora, type Lora, type LoraUse } from './lora.ts';
import { readTensorFile, type TensorFile, type Tensors } from './tensor-file.ts';

/** A LoRA that a model is to wear, and how strongly it acts on the UNet and on the text encoders. */
export interface WantedLora {
  readonly file: TensorFile;
  readonly unet: number;
  readonly text: number;
}

/** A LoRA that the model wears. */
interface WornLora extends WantedLora {
  readonly content: Tensors;
  /** Parsed for a part when it is first asked for. */
  readonly parsed: Map<PartName, Lora>;
}

/** The LoRAs that a model wears. They can change: what is merged is never what is kept. */
export class Loras {
  readonly #has: (part: PartName) => boolean;
  #worn: readonly WornLora[] = [];

  /** @param has the parts of the model. */
  constructor(has: (part: PartName) => boolean) {
    this.#has = has;
  }

  /** The weights of a part with what changes them. @throws SDError WEIGHTS_MISMATCH, UNSUPPORTED_FORMAT */
  merge(
    part: PartName,
    params: ReadonlyMap<string, Param>,
    plain: AsyncIterable<PackedParam>,
  ): AsyncIterable<PackedParam> {
    const uses = usesOf(this.#worn, part, params);
    return uses.length > 0 ? mergeLoras(plain, part as LoraPart, uses) : plain;
  }

  /**
   * Puts these in the place of those that the model wears: the weights that either of them changes are
   * read again and merged anew, so that without any they are bit for bit the model's own.
   *
   * @param parts what LoRAs can change, as far as it is loaded, whose source merges by {@link merge}.
   * @throws SDError WEIGHTS_MISMATCH where one is for parts that the model lacks, as {@link merge}, and
   *   what reading files throws, before any weight is touched; what reading weights throws, once the old
   *   ones are back; WORKER_FAILED where those do not come back.
   */
  async wear(
    wanted: readonly WantedLora[],
    parts: ReadonlyMap<PartName, Pick<Part, 'params' | 'reload'>>,
    signal?: AbortSignal,
  ): Promise<void> {
    const next = await this.#read(wanted, signal);
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

  async #read(wanted: readonly WantedLora[], signal?: AbortSignal): Promise<WornLora[]> {
    const worn: WornLora[] = [];
    for (const { file, unet, text } of wanted) {
      const known = [...this.#worn, ...worn].find((lora) => lora.file.key === file.key);
      const content = known?.content ?? (await readTensorFile(file, signal));
      for (const { name } of content.tensors)
        if (!this.#has(loraPart(name)))
          throw new SDError(
            'WEIGHTS_MISMATCH',
            `A LoRA changes the ${loraPart(name)}, which this model does not have.`,
          );
      worn.push({ file, content, parsed: known?.parsed ?? new Map(), unet, text });
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
  for (const { content, parsed, unet, text } of worn) {
    const own = content.tensors.filter(({ name }) => loraPart(name) === part);
    if (own.length === 0) continue;
    const lora = parsed.get(part) ?? parseLora(own, new Map([[part, params]]), content.metadata);
    parsed.set(part, lora);
    uses.push({ lora, unet, text });
  }
  return uses;
}

const namesOf = (lora: Lora, part: PartName): string[] =>
  part === 'vae' || part === 'preview' ? [] : [...(lora.get(part)?.keys() ?? [])];
