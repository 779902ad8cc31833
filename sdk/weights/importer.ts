import { SDError } from '../errors.ts';
import type { ParameterTable } from './check.ts';
import { toFloat16, toFloat32 } from './dtype.ts';
import { packTensor, type PackedDType, type ParameterKind } from './pack.ts';
import { isWeightDType, type RawTensor, type ReadOptions, type TensorReader } from './tensor.ts';

/** A packed parameter as bytes, little-endian, with its name; see `PackedTensor` for the layout. */
export interface PackedParameter {
  readonly name: string;
  readonly kind: ParameterKind;
  readonly shape: readonly number[];
  readonly dtype: PackedDType;
  readonly data: Uint8Array<ArrayBuffer>;
  readonly scales?: Float32Array<ArrayBuffer>;
  /** Bytes it took in its file. */
  readonly fileBytes: number;
}

/**
 * Converts and packs parameters one by one in the order of their file, so that no more than one is
 * in memory.
 *
 * @param reader under the names of the table and checked against it; see `resolveNames`.
 * @param names which of the table; default all.
 * @throws SDError INVALID_FILE where a weight is too large for f16; whatever the reader throws.
 */
export async function* packParameters(
  reader: TensorReader,
  table: ParameterTable,
  dtype: PackedDType,
  names: Iterable<string> = table.keys(),
  options: ReadOptions = {},
): AsyncIterable<PackedParameter> {
  for await (const tensor of reader.tensors(names, options)) {
    const { kind, shape } = table.get(tensor.name)!;
    const packed = packTensor(kind, valuesOf(tensor, kind, dtype), shape, dtype);
    const { data, scales } = packed;
    yield {
      name: tensor.name,
      kind,
      shape,
      dtype: packed.dtype,
      data: new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
      scales,
      fileBytes: tensor.bytes.length,
    };
  }
}

function valuesOf(
  { name, dtype: from, bytes }: RawTensor,
  kind: ParameterKind,
  to: PackedDType,
): Float32Array<ArrayBuffer> | Uint16Array<ArrayBuffer> {
  if (!isWeightDType(from))
    throw new SDError('WEIGHTS_MISMATCH', `${name} is ${from}, which holds no weights.`);
  const half = to === 'f16' ? kind !== 'vector' : to === 'i8' && kind === 'table';
  if (!half) return toFloat32(bytes, from);
  const codes = toFloat16(bytes, from);
  // f16 in the file may hold infinities of its own; what was finite must stay so.
  if (from !== 'F16' && codes.some(isInfinite) && toFloat32(bytes, from).every(isFiniteNumber))
    throw new SDError(
      'INVALID_FILE',
      `${name} holds values beyond 65504, the largest of f16. Load the model with dtype 'f32'.`,
    );
  return codes;
}

const isInfinite = (code: number): boolean => (code & 0x7fff) === 0x7c00;
const isFiniteNumber = (value: number): boolean => Number.isFinite(value);
