import type { Graph, Param, ParamKind, SinusoidOp } from '../graph/index.ts';

export type WeightDtype = 'f32' | 'f16' | 'i8';

/** Output columns of a panel: two SIMD registers of f32, two vec4 of WGSL. */
export const PANEL = 8;
/** Rows of a panel's column that share an int8 scale. */
export const SCALE_BLOCK = 64;

/** One type for all parameters, or one for each. */
export type WeightDtypes = WeightDtype | ((param: Pick<Param, 'kind' | 'shape'>) => WeightDtype);

/** Elements below which an int8 model keeps a matrix as f16. */
const SMALL_MATRIX = 2 ** 18;

/**
 * How the parameters of a model are stored that is loaded as `dtype`. Vectors stay f32. Of an int8
 * model tables and small matrices are f16: those are 1 % of Stable Diffusion 1.5, stand at its two
 * ends and in its widest layers, and would make a third of the error.
 */
export function storedAs(
  dtype: WeightDtype,
): (param: Pick<Param, 'kind' | 'shape'>) => WeightDtype {
  return ({ kind, shape }) => {
    if (kind === 'vector') return 'f32';
    const isSmall = kind === 'table' || shape.reduce((a, b) => a * b, 1) < SMALL_MATRIX;
    return dtype === 'i8' && isSmall ? 'f16' : dtype;
  };
}

/**
 * A parameter as it is stored and handed to an engine.
 *
 * - `matrix`, torch shape `[n, k]` or `[n, c, kh, kw]`: panels of 8 output columns,
 *   `[ceil(n/8)][k'][8]`, where k' runs over (kh, kw, c); columns past n are zero. For `i8` the
 *   value is `data · scale / 128`, with a scale, float16 bits, for each column of each 64 rows:
 *   `[ceil(n/8)][ceil(k'/64)][8]`.
 * - `vector`: float32, whatever the file had.
 * - `table` `[rows, dim]`: rows as they are, `f32` or `f16`.
 *
 * `data` is little-endian: float32, float16 bits, or int8.
 */
export interface PackedParam {
  readonly name: string;
  readonly kind: ParamKind;
  readonly shape: readonly number[];
  readonly dtype: WeightDtype;
  readonly data: Uint8Array<ArrayBuffer>;
  readonly scales?: Uint16Array<ArrayBuffer>;
}

/** What a sinusoid's halves multiply t by, rounding exponent and frequency to float32 as torch does. */
export function frequencies({ dim, shift }: SinusoidOp): Float32Array<ArrayBuffer> {
  const half = dim / 2;
  return Float32Array.from({ length: half }, (_, i) =>
    Math.exp(Math.fround(Math.fround(-Math.log(10000) * i) / (half - shift))),
  );
}

/** The weights of one model part, resident in an engine; shared by every size it is compiled for. */
export interface Weights {
  /**
   * Takes one parameter, also in the place of one it has; resolves when its bytes have been taken over.
   * Programs that were compiled before do not see the change in what they compute once.
   */
  set(param: PackedParam): Promise<void>;
  /** Where an engine whose memory can be lost gets all parameters again. */
  keepSource?(source: () => AsyncIterable<PackedParam>): void;
  readonly bytes: number;
  dispose(): void;
}

/** What a compiled model needs, in bytes. */
export interface ProgramReport {
  readonly arenaBytes: number;
  readonly liveBytes: number;
  readonly weightBytes: number;
  /** Steps (dispatches) per prompt and per denoising step. */
  readonly onceSteps: number;
  readonly perStepSteps: number;
}

/** A model compiled for one set of shapes. Calls must not overlap. */
export interface Program {
  readonly report: ProgramReport;
  /** Writes an input, NHWC, all of it. Inputs keep their values from run to run. */
  write(input: string, data: Float32Array | Int32Array): void;
  /**
   * Computes the outputs; the `once` part only where one of its inputs was written since.
   * @throws SDError `ABORTED` when the signal fires; the program stays usable.
   */
  run(signal?: AbortSignal): Promise<void>;
  /** Reads an output, NHWC, as a copy. */
  read(output: string): Promise<Float32Array>;
  dispose(): void;
}

/** `Σ factor · vectors[from]` */
export type Combination = readonly Term[];
export interface Term {
  readonly from: number;
  readonly factor: number;
}

/** What a denoising loop keeps in the engine. */
export interface VectorOptions {
  readonly count: number;
  /** Of each: NCHW. */
  readonly shape: readonly [pictures: number, channels: number, height: number, width: number];
  /** `[height · width]`, between 0 and 1: where the inside of a combination counts. */
  readonly mask?: Float32Array;
  /** Channels that join the input behind those of the latents, `[pictures, more, height, width]`. */
  readonly extra?: Float32Array;
}

/** A row of the UNet's batch that pulls a picture towards a prompt. */
export interface Pull {
  readonly picture: number;
  /** 1, but for prompts joined by `AND`. */
  readonly weight: number;
}

/** How predictions become one per picture; see pipeline/guidance.ts. */
export interface Guidance {
  /** The batch is a negative for each picture, then a row for each of these. */
  readonly pulls: readonly Pull[];
  readonly scale: number;
  readonly rescale: number;
}

/**
 * Float32 latents in the engine's memory and what a denoising loop does with them, so that nothing
 * of a step comes to the host. All of it happens in the order of the calls; only `read` waits for it.
 */
export interface Vectors {
  /** Takes a vector over, NCHW. */
  write(into: number, data: Float32Array): void;
  /** Sums vectors; outside the mask another sum, where one is given. `into` may be among them. */
  combine(into: number, inside: Combination, outside?: Combination): void;
  /**
   * Runs a program whose input `sample` is a sum of vectors (for each row of its batch that of the
   * row's picture) and takes its output `sample`, guided, into a vector.
   * @throws SDError `ABORTED` when the signal fires; the program stays usable
   */
  evaluate(
    program: Program,
    input: Combination,
    pictures: readonly number[],
    guidance: Guidance | undefined,
    into: number,
    signal?: AbortSignal,
  ): Promise<void>;
  read(from: number): Promise<Float32Array>;
  dispose(): void;
}

/** A compute engine. */
export interface Backend {
  readonly name: 'reference' | 'wasm' | 'webgpu';
  /** What it found: threads, SIMD kind, adapter; for people and bug reports. */
  readonly description: string;
  /** Makes room for the parameters of one model part. */
  createWeights(params: Iterable<Param>, dtypes: WeightDtypes): Promise<Weights>;
  compile(graph: Graph, weights: Weights): Promise<Program>;
  /** Told how many of a program's pipelines are built, where that takes time. Set it to listen. */
  onCompile?: (done: number, total: number) => void;
  /** Where the engine can: the vectors of a denoising loop. Undefined where they do not fit. */
  createVectors?(options: VectorOptions): Promise<Vectors | undefined>;
  /** What happened since the last call that people should know, in sentences. */
  takeNotices?(): string[];
  dispose(): Promise<void>;
}
