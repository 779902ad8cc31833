import { SDError } from '../../errors.ts';
import { sizeOf } from '../../graph/tensor.ts';
import { DTYPE_BITS, grouped } from '../../weights/tensor.ts';
import type { RawTensor, ReadOptions, TensorInfo, TensorReader } from '../../weights/tensor.ts';

/** Where a parameter comes from, and what must be done to get it. */
export interface Origin {
  /** The tensor's name in the file. */
  readonly source: string;
  /**
   * - `pointwise`: a 1×1 convolution `[N, K, 1, 1]` that is a linear layer here, or the reverse;
   * - `transpose`: `[K, N]` stored for `[N, K]`;
   * - `third`: rows `[0, N)`, `[N, 2N)` or `[2N, 3N)` of a fused `[3N, …]`.
   */
  readonly change?: 'pointwise' | 'transpose' | { readonly third: 0 | 1 | 2 };
}

/**
 * A reader under other names. Tensors come in the order of the file; a source that several
 * parameters share is read once.
 */
export function renamed(
  reader: TensorReader,
  origins: ReadonlyMap<string, Origin>,
  shapes: ReadonlyMap<string, { readonly shape: readonly number[] }>,
): TensorReader {
  const info = (name: string): TensorInfo | undefined => {
    const origin = origins.get(name);
    const stored = origin && reader.info(origin.source);
    return (
      stored && {
        dtype: stored.dtype,
        shape: changedShape(origin, stored, shapes.get(name)?.shape),
      }
    );
  };
  const change = (name: string, raw: RawTensor, shared: boolean): RawTensor => ({
    name,
    dtype: raw.dtype,
    shape: changedShape(origins.get(name)!, raw, shapes.get(name)?.shape),
    bytes: changedBytes(origins.get(name)!, raw, shared),
  });

  return {
    names: () => origins.keys(),
    info,
    async *tensors(names: Iterable<string> = origins.keys(), options?: ReadOptions) {
      const users = grouped(names, (name) => {
        const origin = origins.get(name);
        if (!origin) throw new SDError('INVALID_FILE', `The file holds no tensor for ${name}.`);
        return origin.source;
      });
      const { halves } = options ?? {};
      const below = halves && {
        ...options,
        halves: (source: string) => users.get(source)!.every((name) => halves(name)),
      };
      for await (const raw of reader.tensors(users.keys(), below ?? options)) {
        const list = users.get(raw.name)!;
        for (const name of list) yield change(name, raw, list.length > 1);
      }
    },
  };
}

/** The shape after the change; as stored where the change does not fit, for the check to report. */
function changedShape(
  { change }: Origin,
  { shape }: TensorInfo,
  expected: readonly number[] | undefined,
): readonly number[] {
  if (change === undefined) return shape;
  if (change === 'transpose') return shape.length === 2 ? [shape[1], shape[0]] : shape;
  if (change === 'pointwise') {
    const fits = expected && `${strip(shape)}` === `${strip(expected)}`;
    return fits ? expected : shape;
  }
  const [rows, ...rest] = shape;
  return shape.length > 0 && rows % 3 === 0 ? [rows / 3, ...rest] : shape;
}

/** Without the 1×1 of a pointwise kernel. */
function strip(shape: readonly number[]): readonly number[] {
  return shape.length === 4 && shape[2] === 1 && shape[3] === 1 ? shape.slice(0, 2) : shape;
}

function changedBytes(
  { change }: Origin,
  raw: RawTensor,
  shared: boolean,
): Uint8Array<ArrayBuffer> {
  if (change === undefined || change === 'pointwise') return shared ? raw.bytes.slice() : raw.bytes;
  if (change === 'transpose') {
    const element = DTYPE_BITS.get(raw.dtype)! / 8;
    const [rows, columns] = raw.shape;
    const from = asElements(raw.bytes, element);
    const out = new Uint8Array(sizeOf(raw.shape) * element);
    const into = asElements(out, element);
    for (let c = 0, at = 0; c < columns; c++)
      for (let r = 0; r < rows; r++) into[at++] = from[r * columns + c];
    return out;
  }
  const length = raw.bytes.length / 3;
  return raw.bytes.slice(change.third * length, (change.third + 1) * length);
}

/** Integers as wide as an element, so that moving one keeps its bits. */
function asElements(
  bytes: Uint8Array<ArrayBuffer>,
  size: number,
): { [i: number]: number | bigint } {
  const { buffer, byteOffset, byteLength } = bytes;
  switch (size) {
    case 8:
      return new BigUint64Array(buffer, byteOffset, byteLength / 8);
    case 4:
      return new Uint32Array(buffer, byteOffset, byteLength / 4);
    case 2:
      return new Uint16Array(buffer, byteOffset, byteLength / 2);
    default:
      return bytes;
  }
}
