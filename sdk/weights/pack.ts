import { float16ToFloat32, float32ToFloat16 } from './dtype.ts';
import { sizeOf } from './tensor.ts';

/** How an engine uses a parameter, and so how it lies in memory. The models declare it. */
export type ParameterKind = 'matrix' | 'vector' | 'table';
export type PackedDType = 'f32' | 'f16' | 'i8';

/** Columns of a panel: two SIMD registers of f32, two vec4 of WGSL. */
export const PANEL = 8;

/**
 * A parameter in the one layout that both engines read.
 *
 * - `matrix`, torch shape `[N, K]` or `[N, C, kh, kw]`: panels of 8 output columns,
 *   `[⌈N/8⌉][K][8]`, where K runs over k, or over (kh, kw, C) with C fastest. Columns past N are 0.
 *   `i8` holds `round(w / scale)` in −127…127 with one f32 scale per column, `[⌈N/8⌉·8]`.
 * - `vector`: f32 as is. `table` `[rows, dim]`: f32 or f16 rows as they are.
 */
export interface PackedTensor {
  readonly kind: ParameterKind;
  /** The torch shape. */
  readonly shape: readonly number[];
  readonly dtype: PackedDType;
  /** f16 as bits. */
  readonly data: Float32Array<ArrayBuffer> | Uint16Array<ArrayBuffer> | Int8Array<ArrayBuffer>;
  readonly scales?: Float32Array<ArrayBuffer>;
}

/**
 * Packs one parameter.
 *
 * @param data row-major values in torch order: f32, or f16 as bits.
 * @param dtype what to store; vectors are f32 whatever it says, and tables f16 where it is `i8`.
 */
export function packTensor(
  kind: ParameterKind,
  data: Float32Array<ArrayBuffer> | Uint16Array<ArrayBuffer>,
  shape: readonly number[],
  dtype: PackedDType,
): PackedTensor {
  switch (kind) {
    case 'vector':
      return { kind, shape, dtype: 'f32', data: asFloat32(data) };
    case 'table':
      return dtype === 'f32'
        ? { kind, shape, dtype, data: asFloat32(data) }
        : { kind, shape, dtype: 'f16', data: asFloat16(data) };
    case 'matrix':
      return packMatrix(data, shape, dtype);
  }
}

/** Packs a matrix; see {@link PackedTensor} for the layout. */
export function packMatrix(
  data: Float32Array<ArrayBuffer> | Uint16Array<ArrayBuffer>,
  shape: readonly number[],
  dtype: PackedDType,
): PackedTensor {
  if (sizeOf(shape) !== data.length || shape.length < 2)
    throw new RangeError(`${data.length} values do not fill a matrix of [${shape}]`);
  const length = packedLength(shape);
  switch (dtype) {
    case 'f32': {
      const out = new Float32Array(length);
      permute(asFloat32(data), out, shape);
      return { kind: 'matrix', shape, dtype, data: out };
    }
    case 'f16': {
      const out = new Uint16Array(length);
      permute(asFloat16(data), out, shape);
      return { kind: 'matrix', shape, dtype, data: out };
    }
    case 'i8': {
      const { values, scales } = quantise(asFloat32(data), shape[0]);
      const out = new Int8Array(length);
      permute(values, out, shape);
      return { kind: 'matrix', shape, dtype, data: out, scales };
    }
  }
}

/** Elements of a packed matrix, padding included. */
export function packedLength(shape: readonly number[]): number {
  const [n, ...rest] = shape;
  return Math.ceil(n / PANEL) * PANEL * sizeOf(rest);
}

/** The values of a packed parameter in torch order, as f32. */
export function unpackTensor(packed: PackedTensor): Float32Array<ArrayBuffer> {
  const { data, shape } = packed;
  const values =
    data instanceof Uint16Array
      ? float16ToFloat32(data)
      : data instanceof Int8Array
        ? new Float32Array(data)
        : data;
  if (packed.kind !== 'matrix') return values;
  const [n, channels, taps] = matrixSides(shape);
  const depth = channels * taps;
  const out = new Float32Array(n * depth);
  for (let row = 0; row < n; row++) {
    const panel = Math.floor(row / PANEL) * depth * PANEL + (row % PANEL);
    const scale = packed.scales ? packed.scales[row] : 1;
    for (let c = 0; c < channels; c++)
      for (let s = 0; s < taps; s++)
        out[row * depth + c * taps + s] = values[panel + (s * channels + c) * PANEL] * scale;
  }
  return out;
}

/** `[N, C, taps]`: a linear layer has one tap, a convolution kh·kw. */
function matrixSides(shape: readonly number[]): [number, number, number] {
  const [n, channels, ...kernel] = shape;
  return [n, channels, sizeOf(kernel)];
}

/** Torch order into panels. The eight rows of a panel are read side by side, each in order. */
function permute<T extends Float32Array | Uint16Array | Int8Array>(
  from: T,
  into: T,
  shape: readonly number[],
): void {
  const [n, channels, taps] = matrixSides(shape);
  const depth = channels * taps;
  for (let first = 0; first < n; first += PANEL) {
    const base = first * depth;
    const columns = Math.min(PANEL, n - first);
    for (let s = 0; s < taps; s++) {
      let at = base + s * channels * PANEL;
      if (columns === PANEL)
        for (let i = base + s, c = 0; c < channels; c++, i += taps, at += PANEL) {
          into[at] = from[i];
          into[at + 1] = from[i + depth];
          into[at + 2] = from[i + 2 * depth];
          into[at + 3] = from[i + 3 * depth];
          into[at + 4] = from[i + 4 * depth];
          into[at + 5] = from[i + 5 * depth];
          into[at + 6] = from[i + 6 * depth];
          into[at + 7] = from[i + 7 * depth];
        }
      else
        for (let i = base + s, c = 0; c < channels; c++, i += taps, at += PANEL)
          for (let j = 0; j < columns; j++) into[at + j] = from[i + j * depth];
    }
  }
}

/** Symmetric, one scale per output column, ties to even: torch's per-channel quantisation. */
function quantise(
  data: Float32Array,
  n: number,
): { values: Int8Array<ArrayBuffer>; scales: Float32Array<ArrayBuffer> } {
  const depth = data.length / n;
  const values = new Int8Array(data.length);
  const scales = new Float32Array(Math.ceil(n / PANEL) * PANEL);
  for (let row = 0; row < n; row++) {
    const begin = row * depth;
    let largest = 0;
    for (let i = begin; i < begin + depth; i++) largest = Math.max(largest, Math.abs(data[i]));
    const scale = Math.fround(largest / 127);
    scales[row] = scale;
    if (scale === 0) continue;
    for (let i = begin; i < begin + depth; i++) {
      // Adding 1.5·2^52 leaves no room for a fraction, so the addition rounds to even.
      const rounded = data[i] / scale + 6755399441055744 - 6755399441055744;
      values[i] = Math.max(-127, Math.min(127, rounded));
    }
  }
  return { values, scales };
}

function asFloat32(
  data: Float32Array<ArrayBuffer> | Uint16Array<ArrayBuffer>,
): Float32Array<ArrayBuffer> {
  return data instanceof Float32Array ? data : float16ToFloat32(data);
}

function asFloat16(
  data: Float32Array<ArrayBuffer> | Uint16Array<ArrayBuffer>,
): Uint16Array<ArrayBuffer> {
  return data instanceof Uint16Array ? data : float32ToFloat16(data);
}
