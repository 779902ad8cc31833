import { PANEL, SCALE_BLOCK, type PackedParam, type WeightDtype } from '../backends/backend.ts';
import { sizeOf, type Param } from '../graph/tensor.ts';
import { float32ToFloat16, smallToFloat32 } from '../small-floats.ts';

/** Weights as they come: f32, or f16 as bits. */
export type Values = Float32Array<ArrayBuffer> | Uint16Array<ArrayBuffer>;

/**
 * Packs one parameter; see {@link PackedParam} for the layouts.
 *
 * @param values row-major, in torch's order.
 * @param dtype what to store; vectors are f32 whatever it says, and tables f16 where it is `i8`.
 * @throws RangeError where the values do not fill the shape.
 */
export function packTensor(
  { name, kind, shape }: Pick<Param, 'name' | 'kind' | 'shape'>,
  values: Values,
  dtype: WeightDtype,
): PackedParam {
  if (sizeOf(shape) !== values.length || (kind === 'matrix' && shape.length < 2))
    throw new RangeError(`${values.length} values do not fill a ${kind} of [${shape}]`);
  if (kind === 'matrix' && dtype === 'i8')
    return { name, kind, shape, dtype, ...quantise(asFloat32(values), shape) };
  const half = kind === 'vector' ? false : kind === 'table' ? dtype !== 'f32' : dtype === 'f16';
  const stored = half ? asFloat16(values) : asFloat32(values);
  const data = kind === 'matrix' ? toPanels(stored, shape) : stored;
  return { name, kind, shape, dtype: half ? 'f16' : 'f32', data: bytesOf(data) };
}

/** Elements of a packed matrix, padding included. */
export function packedLength(shape: readonly number[]): number {
  const [n, ...rest] = shape;
  return Math.ceil(n / PANEL) * PANEL * sizeOf(rest);
}

/** The values of a packed parameter in torch's order, as f32; a view of them where they lie so. */
export function unpackTensor(param: PackedParam): Float32Array<ArrayBuffer> {
  const { kind, shape, dtype, data, scales } = param;
  const { buffer, byteOffset, byteLength } = data;
  const values =
    dtype === 'f32'
      ? new Float32Array(buffer, byteOffset, byteLength / 4)
      : dtype === 'f16'
        ? smallToFloat32(new Uint16Array(buffer, byteOffset, byteLength / 2), 'F16')
        : new Float32Array(new Int8Array(buffer, byteOffset, byteLength));
  if (kind !== 'matrix') return values;
  const factors = scales && smallToFloat32(scales, 'F16').map((scale) => scale / 128);
  const { n, channels, taps, depth } = sidesOf(shape);
  const out = new Float32Array(n * depth);
  for (let row = 0; row < n; row++) {
    const panel = Math.floor(row / PANEL);
    const base = panel * depth * PANEL + (row % PANEL);
    const scale = panel * Math.ceil(depth / SCALE_BLOCK) * PANEL + (row % PANEL);
    for (let c = 0; c < channels; c++)
      for (let s = 0; s < taps; s++) {
        const k = s * channels + c;
        const factor = factors ? factors[scale + Math.floor(k / SCALE_BLOCK) * PANEL] : 1;
        out[row * depth + c * taps + s] = values[base + k * PANEL] * factor;
      }
  }
  return out;
}

interface Sides {
  /** Output columns. */
  readonly n: number;
  readonly channels: number;
  /** A linear layer has one, a convolution kh·kw. */
  readonly taps: number;
  readonly depth: number;
}

function sidesOf(shape: readonly number[]): Sides {
  const [n, channels, ...kernel] = shape;
  const taps = sizeOf(kernel);
  return { n, channels, taps, depth: channels * taps };
}

function toPanels<T extends Values>(from: T, shape: readonly number[]): T {
  const sides = sidesOf(shape);
  const into = from.slice(0, 0).constructor as new (length: number) => T;
  const out = new into(packedLength(shape));
  for (let first = 0; first < sides.n; first += PANEL)
    permutePanel(from, out, first * sides.depth, first, sides);
  return out;
}

/** Eight rows of the torch order, read side by side, each in order, to the panel at `base`. */
function permutePanel(
  from: Values,
  into: Values,
  base: number,
  first: number,
  { n, channels, taps, depth }: Sides,
): void {
  const columns = Math.min(PANEL, n - first);
  for (let s = 0; s < taps; s++) {
    let at = base + s * channels * PANEL;
    if (columns === PANEL)
      for (let i = first * depth + s, c = 0; c < channels; c++, i += taps, at += PANEL) {
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
      for (let i = first * depth + s, c = 0; c < channels; c++, i += taps, at += PANEL)
        for (let j = 0; j < columns; j++) into[at + j] = from[i + j * depth];
  }
}

/**
 * Symmetric, ties to even, panel by panel. A scale is what 128 stands for and not 1: as f16 it then
 * has the range that weights of f16 have. NaN and infinities stay (the scale is one).
 */
function quantise(
  values: Float32Array,
  shape: readonly number[],
): { data: Uint8Array<ArrayBuffer>; scales: Uint16Array<ArrayBuffer> } {
  const sides = sidesOf(shape);
  const { n, depth } = sides;
  const blocks = Math.ceil(depth / SCALE_BLOCK);
  const data = new Int8Array(packedLength(shape));
  const scales = new Uint16Array(Math.ceil(n / PANEL) * blocks * PANEL);
  const panel = new Float32Array(depth * PANEL);
  const largest = new Float32Array(blocks * PANEL);
  for (let first = 0; first < n; first += PANEL) {
    if (first + PANEL > n) panel.fill(0);
    permutePanel(values as Values, panel, 0, first, sides);
    largest.fill(0);
    for (let i = 0; i < panel.length; i++) {
      const at = scaleOf(i);
      largest[at] = Math.max(largest[at], Math.abs(panel[i]));
    }
    const rounded = float32ToFloat16(largest.map((x) => (x * 128) / 127));
    scales.set(rounded, (first / PANEL) * blocks * PANEL);
    const units = smallToFloat32(rounded, 'F16');
    for (let i = 0, to = first * depth; i < panel.length; i++, to++) {
      const unit = units[scaleOf(i)];
      if (unit === 0) continue;
      // Adding 1.5·2^52 leaves no room for a fraction, so the addition rounds to even.
      const value = (panel[i] * 128) / unit + 6755399441055744 - 6755399441055744;
      data[to] = Math.max(-127, Math.min(127, value));
    }
  }
  return { data: bytesOf(data), scales };
}

/** Within a panel, where the scale of an element stands. */
function scaleOf(element: number): number {
  return Math.floor(element / (PANEL * SCALE_BLOCK)) * PANEL + (element % PANEL);
}

function asFloat32(values: Values): Float32Array<ArrayBuffer> {
  return values instanceof Float32Array ? values : smallToFloat32(values, 'F16');
}

function asFloat16(values: Values): Uint16Array<ArrayBuffer> {
  return values instanceof Uint16Array ? values : float32ToFloat16(values);
}

function bytesOf(data: Values | Int8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}
