import type { Backend, Program, WeightDtype } from '../backends/backend.ts';
import { parseUNetConfig, traceUNet, type UNetConfig } from '../models/index.ts';
import { guidanceEmbedding } from './guidance.ts';
import { toNchw, toNhwc } from './layout.ts';
import type { ModelSource } from './model-source.ts';
import { Part } from './part.ts';
import type { LatentShape } from './request.ts';
import type { Conditioning } from './text.ts';

/** What stays the same over a run: the rows of the batch and what each is conditioned on. */
export interface UNetContext {
  /** One per row of the batch. */
  readonly rows: readonly Conditioning[];
  /** SDXL: original size, crop and target size, or the refiner's five numbers; per row. */
  readonly timeIds?: readonly number[];
  /** Guidance scale for models that take it as an input. */
  readonly guidanceScale: number;
}

/** The noise predictor, compiled for one batch and size at a time. */
export class UNet {
  readonly config: UNetConfig;
  readonly #part: Part;

  private constructor(config: UNetConfig, part: Part) {
    this.config = config;
    this.#part = part;
  }

  static async load(
    source: ModelSource,
    backend: Backend,
    options: {
      dtype: WeightDtype;
      timeIds: number;
      signal?: AbortSignal;
      onBytes?: (count: number) => void;
    },
  ): Promise<UNet> {
    const config = parseUNetConfig(await source.config('unet'), options.timeIds);
    // Any size names the same parameters; the smallest is the quickest to trace.
    const edge = 2 ** (config.channels.length - 1);
    const smallest = { batch: 1, height: edge, width: edge, tokens: 1, timeIds: options.timeIds };
    const { params } = traceUNet(config, smallest);
    return new UNet(config, await Part.load(source, 'unet', params, backend, options));
  }

  /** Prepares a run. The predictor it returns takes NCHW samples of `[rows, in, h, w]`. */
  async prepare(
    shape: LatentShape,
    context: UNetContext,
  ): Promise<
    (sample: Float32Array, timestep: number, signal?: AbortSignal) => Promise<Float32Array>
  > {
    const { config } = this;
    const { rows, timeIds, guidanceScale } = context;
    const [, , height, width] = shape;
    const batch = rows.length;
    const tokens = rows[0].tokens;
    const program: Program = await this.#part.program(`${batch}×${height}×${width}×${tokens}`, () =>
      traceUNet(config, { batch, height, width, tokens, timeIds: timeIds?.length }),
    );
    program.write('context', stack(rows.map((row) => row.context)));
    if (config.added) {
      program.write('pooled', stack(rows.map((row) => row.pooled ?? new Float32Array(0))));
      program.write('timeIds', stack(rows.map(() => Float32Array.from(timeIds ?? []))));
    }
    if (config.guidanceDim) {
      const embedding = guidanceEmbedding(guidanceScale, config.guidanceDim);
      program.write('guidance', stack(rows.map(() => embedding)));
    }
    return async (sample, timestep, signal) => {
      program.write('sample', toNhwc(sample, [batch, config.inChannels, height, width]));
      program.write('timestep', new Float32Array(batch).fill(timestep));
      await program.run(signal);
      return toNchw(await program.read('sample'), [batch, config.outChannels, height, width]);
    };
  }

  dispose(): void {
    this.#part.dispose();
  }
}

/** Arrays one after the other. */
export function stack(arrays: readonly Float32Array[]): Float32Array {
  const out = new Float32Array(arrays.reduce((sum, array) => sum + array.length, 0));
  let at = 0;
  for (const array of arrays) {
    out.set(array, at);
    at += array.length;
  }
  return out;
}
