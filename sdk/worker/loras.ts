import type { ModelCache } from '../cache/index.ts';
import { SDError } from '../errors.ts';
import type { Param } from '../graph/index.ts';
import type { PartName } from '../pipeline/model-source.ts';
import { loraPart, parseLora, type LoraUse } from '../weights/lora.ts';
import type { LoraRequest } from './protocol.ts';
import { readTensorFile, type TensorFile } from './tensor-file.ts';

interface LoraFile extends TensorFile {
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
      const { unet, text } = request;
      const file = { ...(await readTensorFile(request.file, 'lora', cache, signal)), unet, text };
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
