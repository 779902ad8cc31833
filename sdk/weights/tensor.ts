import { sizeOf } from '../graph/tensor.ts';

/** Element types that hold weights. */
const WEIGHT_DTYPES = ['F64', 'F32', 'F16', 'BF16', 'F8_E4M3', 'F8_E5M2'] as const;
/** Others that a weight file may name. */
const OTHER_DTYPES = [
  ...([
    'F8_E4M3FNUZ',
    'F8_E5M2FNUZ',
    'F8_E8M0',
    'F6_E2M3',
    'F6_E3M2',
    'F4',
    'BOOL',
    'C64',
  ] as const),
  ...(['I64', 'U64', 'I32', 'U32', 'I16', 'U16', 'I8', 'U8'] as const),
] as const;
export type WeightDType = (typeof WEIGHT_DTYPES)[number];
export type DType = WeightDType | (typeof OTHER_DTYPES)[number];

/** Bits of one element: the first number in its name. */
export const DTYPE_BITS: ReadonlyMap<string, number> = new Map(
  [...WEIGHT_DTYPES, ...OTHER_DTYPES].map((name) => [name, Number(/\d+/.exec(name)?.[0] ?? 8)]),
);

export function isWeightDType(dtype: string): dtype is WeightDType {
  return WEIGHT_DTYPES.includes(dtype as WeightDType);
}

export interface TensorInfo {
  readonly dtype: DType;
  /** As torch writes it; `[]` is a scalar. */
  readonly shape: readonly number[];
}

/** One tensor as its file holds it: contiguous, little-endian, C order. */
export interface RawTensor extends TensorInfo {
  readonly name: string;
  /** Aligned to the element size; owned by the receiver. */
  readonly bytes: Uint8Array<ArrayBuffer>;
}

export interface ReadOptions {
  readonly signal?: AbortSignal;
  /**
   * Tensors that are wanted as f16. Those of f32 may then come as such, rounded to nearest even;
   * which of them do is up to the reader.
   */
  readonly halves?: (name: string) => boolean;
  /** Called with the size of every piece that arrives, in bytes. */
  readonly onBytes?: (count: number) => void;
}

/** The tensors of one file, or of a set of files, whatever the format. */
export interface TensorReader {
  /** What the file says besides its tensors, where it can: texts, and numbers as such. */
  readonly metadata?: ReadonlyMap<string, string>;
  names(): Iterable<string>;
  info(name: string): TensorInfo | undefined;
  /**
   * The named tensors (default all) in the order of the file, one in memory at a time.
   * @throws SDError INVALID_FILE where there is no such tensor; whatever the source throws.
   */
  tensors(names?: Iterable<string>, options?: ReadOptions): AsyncIterable<RawTensor>;
}

/** Bytes of a tensor as stored. */
export function byteLength(info: TensorInfo): number {
  return (sizeOf(info.shape) * DTYPE_BITS.get(info.dtype)!) / 8;
}

/** The names that share a key, by key. */
export function grouped<K>(names: Iterable<string>, keyOf: (name: string) => K): Map<K, string[]> {
  const groups = new Map<K, string[]>();
  for (const name of names) {
    const key = keyOf(name);
    const group = groups.get(key);
    if (group) group.push(name);
    else groups.set(key, [name]);
  }
  return groups;
}
