import { storedAs, type PackedParam, type WeightDtype } from '../backends/backend.ts';
import { SDError } from '../errors.ts';
import type { ParameterTable } from './check.ts';
import { toFloat16, toFloat32 } from './dtype.ts';
import { tooLarge } from './half.ts';
import { packTensor, type Values } from './pack.ts';
import { byteLength, isWeightDType, type ReadOptions, type TensorReader } from './tensor.ts';

/** A packed parameter fresh from its file. */
export interface PackedParameter extends PackedParam {
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
  dtype: WeightDtype,
  names: Iterable<string> = table.keys(),
  options: ReadOptions = {},
): AsyncIterable<PackedParameter> {
  const storage = storedAs(dtype);
  const halves = (name: string): boolean => storage(table.get(name)!) === 'f16';
  for await (const tensor of reader.tensors(names, { ...options, halves })) {
    const { name, dtype: from, bytes } = tensor;
    if (!isWeightDType(from))
      throw new SDError('WEIGHTS_MISMATCH', `${name} is ${from}, which holds no weights.`);
    const { kind, shape } = table.get(name)!;
    const stored = storage({ kind, shape });
    const values: Values = stored === 'f16' ? toFloat16(bytes, from) : toFloat32(bytes, from);
    const packed = packTensor({ name, kind, shape }, values, stored);
    const codes = values instanceof Uint16Array ? values : packed.scales;
    // The file may hold infinities of its own; what was finite must stay so.
    if (codes && hasInfinity(codes) && toFloat32(bytes, from).every(Number.isFinite))
      throw tooLarge(name);
    yield { ...packed, fileBytes: byteLength(reader.info(name)!) };
  }
}

/** A loop: `some` calls its function for each of a billion weights. */
function hasInfinity(codes: Uint16Array): boolean {
  for (let i = 0; i < codes.length; i++) if ((codes[i] & 0x7fff) === 0x7c00) return true;
  return false;
}
