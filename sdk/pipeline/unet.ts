import type { Backend, Program, WeightDtype } from '../backends/backend.ts';
import { parseUNetConfig, traceUNet, type UNetConfig, type UNetShape } from '../models/index.ts';
import { guidanceEmbedding } from './guidance.ts';
import { stack, toNchw, toNhwc } from './layout.ts';
import type { ModelSource } from './model-source.ts';
import { Part } from './part.ts';
import type { Conditioning } from './text.ts';

/** One row of the batch: what it is conditioned on. */
export interface Row {
  readonly conditioning: Conditioning;
  /** SDXL: original size, crop and target size; the refiner: size, crop and aesthetic score. */
  readonly timeIds: readonly number[];
}

/** What the predictor is to know beside the sample. The same object means the same values. */
export interface UNetContext {
  readonly rows: readonly Row[];
  /** Guidance scale for models that take it as an input. */
  readonly guidanceScale: number;
  readonly wrap?: UNetShape['wrap'];
}

/** The noise predictor, compiled for one batch and size at a time. */
export class UNet {
  readonly config: UNetConfig;
  readonly #part: Part;
  readonly #written = new WeakMap<Program, UNetContext>();

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

  /**
   * Predicts the noise in samples.
   * @param sample NCHW `[rows, in, height, width]`
   * @returns NCHW `[rows, out, height, width]`
   */
  async predict(
    sample: Float32Array,
    [height, width]: readonly [number, number],
    timestep: number,
    context: UNetContext,
    signal?: AbortSignal,
  ): Promise<Float32Array> {
    const { config } = this;
    const { rows, wrap } = context;
    const batch = rows.length;
    const tokens = rows[0].conditioning.tokens;
    const timeIds = rows[0].timeIds.length;
    const key = `${batch}×${height}×${width}×${tokens} ${wrap?.x ?? false} ${wrap?.y ?? false}`;
    const program = await this.#part.program(key, () =>
      traceUNet(config, { batch, height, width, tokens, timeIds, wrap }),
    );
    if (this.#written.get(program) !== context) this.#write(program, context);
    program.write('sample', toNhwc(sample, [batch, config.inChannels, height, width]));
    program.write('timestep', new Float32Array(batch).fill(timestep));
    await program.run(signal);
    return toNchw(await program.read('sample'), [batch, config.outChannels, height, width]);
  }

  /** What lies behind it is computed once for each context, not at every step. */
  #write(program: Program, context: UNetContext): void {
    const { rows, guidanceScale } = context;
    const { added, guidanceDim } = this.config;
    program.write('context', stack(rows.map(({ conditioning }) => conditioning.context)));
    if (added) {
      const nothing = new Float32Array(added.pooledDim);
      program.write(
        'pooled',
        stack(rows.map(({ conditioning }) => conditioning.pooled ?? nothing)),
      );
      program.write('timeIds', stack(rows.map(({ timeIds }) => Float32Array.from(timeIds))));
    }
    if (guidanceDim) {
      const embedding = guidanceEmbedding(guidanceScale, guidanceDim);
      program.write('guidance', stack(rows.map(() => embedding)));
    }
    this.#written.set(program, context);
  }

  dispose(): void {
    this.#part.dispose();
  }
}
