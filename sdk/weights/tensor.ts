/** Element types a weight file may name. The first six hold weights; the rest are recognised. */
export type WeightDType = 'F64' | 'F32' | 'F16' | 'BF16' | 'F8_E4M3' | 'F8_E5M2';
export type DType =
  | WeightDType
  | 'F8_E4M3FNUZ'
  | 'F8_E5M2FNUZ'
  | 'F8_E8M0'
  | 'F6_E2M3'
  | 'F6_E3M2'
  | 'F4'
  | 'I64'
  | 'U64'
  | 'C64'
  | 'I32'
  | 'U32'
  | 'I16'
  | 'U16'
  | 'I8'
  | 'U8'
  | 'BOOL';

/** Bits of one element. */
export const DTYPE_BITS: ReadonlyMap<string, number> = new Map<DType, number>([
  ['F64', 64],
  ['F32', 32],
  ['F16', 16],
  ['BF16', 16],
  ['F8_E4M3', 8],
  ['F8_E5M2', 8],
  ['F8_E4M3FNUZ', 8],
  ['F8_E5M2FNUZ', 8],
  ['F8_E8M0', 8],
  ['F6_E2M3', 6],
  ['F6_E3M2', 6],
  ['F4', 4],
  ['I64', 64],
  ['U64', 64],
  ['C64', 64],
  ['I32', 32],
  ['U32', 32],
  ['I16', 16],
  ['U16', 16],
  ['I8', 8],
  ['U8', 8],
  ['BOOL', 8],
]);

const WEIGHT_DTYPES: ReadonlySet<string> = new Set<WeightDType>([
  'F64',
  'F32',
  'F16',
  'BF16',
  'F8_E4M3',
  'F8_E5M2',
]);

export function isWeightDType(dtype: string): dtype is WeightDType {
  return WEIGHT_DTYPES.has(dtype);
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
  names(): Iterable<string>;
  info(name: string): TensorInfo | undefined;
  /** @throws SDError INVALID_FILE where there is no such tensor; whatever the source throws. */
  read(name: string, options?: ReadOptions): Promise<RawTensor>;
  /** The named tensors (default all) in the order of the file, one in memory at a time. */
  tensors(names?: Iterable<string>, options?: ReadOptions): AsyncIterable<RawTensor>;
}

/** Elements of a shape. */
export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((size, n) => size * n, 1);
}

/** Bytes of a tensor as stored. */
export function byteLength(info: TensorInfo): number {
  return (sizeOf(info.shape) * DTYPE_BITS.get(info.dtype)!) / 8;
}
