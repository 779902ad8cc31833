import { isSDError } from '../errors.ts';
import type { Graph } from '../graph/index.ts';
import type { Backend, Program } from '../backends/backend.ts';
import {
  parseUNetConfig,
  traceUNet,
  type CrossAttention,
  type UNetConfig,
  type UNetShape,
} from '../models/index.ts';
import type { AttentionLayer } from './attention-maps.ts';
import { guidanceEmbedding } from './guidance.ts';
import { rowOf, stack, toNchw, toNhwc } from './layout.ts';
import type { ModelSource } from './model-source.ts';
import { Part, type PartOptions } from './part.ts';
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
  /** Keeps what {@link UNet.crossAttention} reads. */
  readonly watch?: boolean;
}

/** The noise predictor, compiled for one batch and size at a time. */
export class UNet {
  readonly config: UNetConfig;
  readonly part: Part;
  readonly #written = new WeakMap<Program, UNetContext>();
  /** Of programs that keep them, the attentions to the prompt. */
  readonly #watched = new WeakMap<Program, readonly CrossAttention[]>();
  #latest: Program | undefined;
  #isApart = false;
  readonly #parted = new WeakMap<UNetContext, readonly UNetContext[]>();

  private constructor(config: UNetConfig, part: Part) {
    this.config = config;
    this.part = part;
  }

  static async load(
    source: ModelSource,
    backend: Backend,
    options: PartOptions & { readonly timeIds: number },
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
    const { inChannels, outChannels } = this.config;
    const batch = context.rows.length;
    if (this.#isApart && batch > 1) {
      const rows: Float32Array[] = [];
      for (const [i, one] of this.#apart(context).entries()) {
        const row = rowOf(sample, i, batch);
        rows.push(await this.predict(row, [height, width], timestep, one, signal));
      }
      return stack(rows);
    }
    const program = await this.prepare([height, width], timestep, context, signal);
    program.write('sample', toNhwc(sample, [batch, inChannels, height, width]));
    await program.run(signal);
    return toNchw(await program.read('sample'), [batch, outChannels, height, width]);
  }

  /**
   * Whether a batch fits in memory at once; where it does not, `predict` takes its rows one by one.
   * @throws SDError `OUT_OF_MEMORY` when not even one row fits
   */
  async fits(
    size: readonly [number, number],
    context: UNetContext,
    signal?: AbortSignal,
  ): Promise<boolean> {
    this.#isApart = false;
    try {
      await this.prepare(size, 0, context, signal);
    } catch (error) {
      // Attention can be watched in a whole batch only.
      const canPart = context.rows.length > 1 && !context.watch;
      if (!isSDError(error) || error.code !== 'OUT_OF_MEMORY' || !canPart) throw error;
      await this.prepare(size, 0, this.#apart(context)[0], signal);
      this.#isApart = true;
    }
    return !this.#isApart;
  }

  #apart(context: UNetContext): readonly UNetContext[] {
    const known =
      this.#parted.get(context) ?? context.rows.map((row) => ({ ...context, rows: [row] }));
    this.#parted.set(context, known);
    return known;
  }

  /** The program for a prediction, with everything written but the sample. */
  async prepare(
    [height, width]: readonly [number, number],
    timestep: number,
    context: UNetContext,
    signal?: AbortSignal,
  ): Promise<Program> {
    const { config } = this;
    const { rows, wrap, watch } = context;
    const batch = rows.length;
    const tokens = rows[0].conditioning.tokens;
    const timeIds = rows[0].timeIds.length;
    const axes = `${wrap?.x ?? false} ${wrap?.y ?? false} ${watch ?? false}`;
    const key = `${batch}×${height}×${width}×${tokens} ${axes}`;
    const layers: CrossAttention[] = [];
    const onCrossAttention = watch ? (layer: CrossAttention) => layers.push(layer) : undefined;
    const trace = (): Graph => {
      const shape = { batch, height, width, tokens, timeIds, wrap, onCrossAttention };
      const graph = traceUNet(config, shape);
      layers.forEach(({ q, k }, i) => {
        graph.output(`q${i}`, q);
        graph.output(`k${i}`, k);
      });
      return graph;
    };
    const program = await this.part.program(key, trace, signal);
    if (layers.length > 0) this.#watched.set(program, layers);
    this.#latest = program;
    if (this.#written.get(program) !== context) this.#write(program, context);
    program.write('timestep', new Float32Array(batch).fill(timestep));
    return program;
  }

  /** Of one row of the latest prediction, whose context was to `watch`. */
  async crossAttention(row: number): Promise<AttentionLayer[]> {
    const program = this.#latest!;
    const found: AttentionLayer[] = [];
    for (const [i, layer] of this.#watched.get(program)!.entries()) {
      const { heads, height, width } = layer;
      const [q, k] = [await program.read(`q${i}`), await program.read(`k${i}`)];
      const own = (x: Float32Array, [batch]: readonly number[]) => rowOf(x, row, batch);
      found.push({ q: own(q, layer.q.shape), k: own(k, layer.k.shape), heads, height, width });
    }
    return found;
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
    this.part.dispose();
  }
}
