import { Tensor, type Param } from './tensor.ts';

/** Pointwise functions. `gelu` is the exact erf form, `quick_gelu` is `x·sigmoid(1.702x)`. */
export type ActivationFn = 'silu' | 'gelu' | 'quick_gelu' | 'relu' | 'tanh';

/**
 * How often the value of an input changes: `once` per prompt, or every `step`. Ops that depend on
 * `once` inputs alone (cross-attention keys and values, added embeddings) run once per prompt.
 */
export type InputRate = 'once' | 'step';

/** Rows and columns of zeros around the picture. */
export interface Padding {
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
  readonly left: number;
}

export interface ConvGeometry {
  readonly kernel: readonly [height: number, width: number];
  readonly stride: number;
  readonly padding: Padding;
  /** Axes that wrap around instead of meeting zeros, for pictures that tile without a seam. */
  readonly wrap: { readonly x: boolean; readonly y: boolean };
}

/** A tensor fed by the caller. `i32` inputs are token ids and row numbers. */
export interface InputOp {
  readonly kind: 'input';
  readonly name: string;
  readonly dtype: 'f32' | 'i32';
  readonly rate: InputRate;
}

/** `x·Wᵀ + b` over the last axis; weight `[out, in]`. */
export interface LinearOp {
  readonly kind: 'linear';
  readonly x: Tensor;
  readonly weight: Param;
  readonly bias?: Param;
}

/** Cross-correlation over `[batch, height, width, channels]`; weight `[out, in, kh, kw]`. */
export interface ConvOp {
  readonly kind: 'conv';
  readonly x: Tensor;
  readonly weight: Param;
  readonly bias?: Param;
  readonly geometry: ConvGeometry;
}

/**
 * Group normalisation with biased variance over (height, width, channels of a group), and then
 * `activation` if there is one. `skip`, if there, stands for the channel concatenation `[x, skip]`.
 */
export interface GroupNormOp {
  readonly kind: 'groupNorm';
  readonly x: Tensor;
  readonly skip?: Tensor;
  readonly weight: Param;
  readonly bias: Param;
  readonly groups: number;
  readonly eps: number;
  readonly activation?: ActivationFn;
}

export interface LayerNormOp {
  readonly kind: 'layerNorm';
  readonly x: Tensor;
  readonly weight: Param;
  readonly bias: Param;
  readonly eps: number;
}

/**
 * `softmax(q·kᵀ/√d)·v` per head; q `[batch, n, heads·d]`, k and v `[batch, m, heads·d]`. With
 * `causal`, position i sees positions ≤ i.
 */
export interface AttentionOp {
  readonly kind: 'attention';
  readonly q: Tensor;
  readonly k: Tensor;
  readonly v: Tensor;
  readonly heads: number;
  readonly causal: boolean;
}

export interface ActivationOp {
  readonly kind: 'activation';
  readonly x: Tensor;
  readonly fn: ActivationFn;
}

/** `[…, 2n] → […, n]`: first half times gelu of the second half (Shazeer 2020, GEGLU). */
export interface GegluOp {
  readonly kind: 'geglu';
  readonly x: Tensor;
}

/** `a + b`; b has the shape of a, or is `[batch, 1, …, channels]` and is spread over a. */
export interface AddOp {
  readonly kind: 'add';
  readonly a: Tensor;
  readonly b: Tensor;
}

export interface ScaleOp {
  readonly kind: 'scale';
  readonly x: Tensor;
  readonly factor: number;
}

/** Concatenation on channels, a first. */
export interface ConcatOp {
  readonly kind: 'concat';
  readonly a: Tensor;
  readonly b: Tensor;
}

/** Nearest neighbour to `[height, width]`: source index = floor(i · in / out). */
export interface UpsampleOp {
  readonly kind: 'upsample';
  readonly x: Tensor;
  readonly size: readonly [height: number, width: number];
}

/** `table[ids] + positions`; ids `[batch, n]`, table `[vocabulary, dim]`, positions `[≥ n, dim]`. */
export interface EmbedOp {
  readonly kind: 'embed';
  readonly ids: Tensor;
  readonly table: Param;
  readonly positions: Param;
}

/**
 * Sinusoidal embedding of each number of t `[batch]` or `[batch, k]` (k embeddings side by side):
 * `[cos | sin]` of `t·exp(−ln(10000)·i / (dim/2 − shift))`, or `[sin | cos]` without `flip`.
 */
export interface SinusoidOp {
  readonly kind: 'sinusoid';
  readonly t: Tensor;
  readonly dim: number;
  readonly flip: boolean;
  readonly shift: number;
}

/** `x[b, rows[b]]`: x `[batch, n, channels]`, rows `[batch]` → `[batch, channels]`. */
export interface SelectRowOp {
  readonly kind: 'selectRow';
  readonly x: Tensor;
  readonly rows: Tensor;
}

/** The same numbers under another shape. */
export interface ReshapeOp {
  readonly kind: 'reshape';
  readonly x: Tensor;
}

/** What models are written in. */
export type PrimitiveOp =
  | InputOp
  | LinearOp
  | ConvOp
  | GroupNormOp
  | LayerNormOp
  | AttentionOp
  | ActivationOp
  | GegluOp
  | AddOp
  | ScaleOp
  | ConcatOp
  | UpsampleOp
  | EmbedOp
  | SinusoidOp
  | SelectRowOp
  | ReshapeOp;

/**
 * Per-channel scale and shift of a group norm, `[batch, 2, channels]`: `y = x·scale + shift`.
 * The consumer applies them while it loads.
 */
export interface NormStatsOp {
  readonly kind: 'normStats';
  readonly x: Tensor;
  readonly skip?: Tensor;
  readonly weight: Param;
  readonly bias: Param;
  readonly groups: number;
  readonly eps: number;
}

/**
 * A matrix product with everything that rides along: a linear layer (no `geometry`) or a
 * convolution as implicit GEMM.
 *
 * Loader, in this order: channels of `x` then of `skip`; both read at `upsample` size by nearest
 * neighbour; `norm` as `x·scale + shift`; `inputActivation`; then zero padding (padding is applied
 * last, so padded taps stay 0).
 * Epilogue, in this order: `+ bias`, `+ channelBias` `[batch, 1, …, n]`, `+ residual` (same number
 * of elements as the output), `outputActivation`. With `geglu` the weight has 2n columns and the
 * output n: `(value + bias) · gelu(gate + bias)`, and nothing else rides along.
 */
export interface GemmOp {
  readonly kind: 'gemm';
  readonly x: Tensor;
  readonly skip?: Tensor;
  readonly upsample?: readonly [height: number, width: number];
  readonly norm?: Tensor;
  readonly inputActivation?: ActivationFn;
  readonly weight: Param;
  readonly bias?: Param;
  readonly geometry?: ConvGeometry;
  readonly channelBias?: Tensor;
  readonly residual?: Tensor;
  readonly outputActivation?: ActivationFn;
  readonly geglu?: boolean;
}

/** What backends run: primitives that stood alone, and the fused forms. No linear, conv, reshape. */
export type Op = Exclude<PrimitiveOp, LinearOp | ConvOp | ReshapeOp> | NormStatsOp | GemmOp;

export type AnyOp = PrimitiveOp | NormStatsOp | GemmOp;

/** The tensors an op reads. */
export function inputsOf(op: AnyOp): Tensor[] {
  return Object.values(op).filter((value) => value instanceof Tensor);
}

/** The parameters an op reads. */
export function paramsOf(op: AnyOp): Param[] {
  return Object.values(op).filter(isParam);
}

export function isParam(value: unknown): value is Param {
  return typeof value === 'object' && value !== null && 'name' in value;
}
