import { SDError } from '../errors.ts';
import { DTYPE_BITS, type DType, type TensorInfo } from './tensor.ts';
import { uint64 } from './source.ts';
import { parseStrictJson, type StrictJson } from './strict-json.ts';

/** A tensor of a safetensors file; `begin` and `end` are offsets in the file, in bytes. */
export interface SafetensorsEntry extends TensorInfo {
  readonly begin: number;
  readonly end: number;
}

export interface SafetensorsHeader {
  /** In the order of their data. */
  readonly tensors: ReadonlyMap<string, SafetensorsEntry>;
  readonly metadata: ReadonlyMap<string, string>;
  /** The size the file must have, in bytes. */
  readonly fileSize: number;
}

/** The reference allows 100 MB; the largest we know of (LoRA training logs) is 5 MB. */
export const MAX_HEADER_BYTES = 32 * 1024 * 1024;
const MAX_TENSORS = 65536;
const MAX_DIMENSIONS = 16;
const OPEN_BRACE = 0x7b;

/**
 * Length of the JSON header, from the first 8 bytes of a file.
 * @throws SDError INVALID_FILE for a length beyond the file or beyond {@link MAX_HEADER_BYTES}.
 */
export function headerLength(first8: Uint8Array, fileSize?: number): number {
  if (first8.length < 8) throw invalid('it is shorter than 8 bytes');
  const length = uint64(new DataView(first8.buffer, first8.byteOffset, 8), 0);
  if (length < 2) throw invalid('its header is empty');
  if (length > MAX_HEADER_BYTES)
    throw invalid(`its header would be ${length} bytes long; at most ${MAX_HEADER_BYTES} are read`);
  if (fileSize !== undefined && 8 + length > fileSize)
    throw invalid(`its header of ${length} bytes runs past the end of the file (${fileSize})`);
  return length;
}

/**
 * Parses and validates a whole header before anything is allocated for its tensors, by the rules
 * of the reference (huggingface/safetensors, `tensor.rs`): offsets are contiguous from 0 and end
 * where the file ends, and each tensor fills its range exactly.
 *
 * @param bytes the file's first bytes, at least `8 + headerLength`.
 * @param fileSize the file's size in bytes, where it is known.
 * @throws SDError INVALID_FILE, one reason at a time.
 */
export function parseHeader(bytes: Uint8Array, fileSize?: number): SafetensorsHeader {
  const length = headerLength(bytes, fileSize);
  const dataStart = 8 + length;
  if (bytes.length < dataStart) throw invalid('its header is cut off');
  if (bytes[8] !== OPEN_BRACE) throw invalid('its header does not begin with {');

  const root = parseJson(bytes.subarray(8, dataStart));
  if (!(root instanceof Map)) throw invalid('its header is not an object');
  if (root.size > MAX_TENSORS) throw invalid(`it names more than ${MAX_TENSORS} tensors`);

  const metadata = readMetadata(root.get('__metadata__'));
  const entries: [string, SafetensorsEntry][] = [];
  for (const [name, value] of root)
    if (name !== '__metadata__') entries.push([name, readEntry(name, value, dataStart)]);

  // A tensor without elements may share its offset with the next one.
  entries.sort(([, a], [, b]) => a.begin - b.begin || a.end - b.end);
  let end = dataStart;
  for (const [name, entry] of entries) {
    if (entry.begin > end) throw invalid(`there is a gap before tensor ${quote(name)}`);
    if (entry.begin < end) throw invalid(`tensor ${quote(name)} overlaps the one before it`);
    end = entry.end;
  }
  if (fileSize !== undefined && end !== fileSize)
    throw invalid(
      end > fileSize
        ? `it is cut off: ${fileSize} bytes, where its header describes ${end}`
        : `${fileSize - end} bytes follow its last tensor`,
    );
  return { tensors: new Map(entries), metadata, fileSize: end };
}

function parseJson(bytes: Uint8Array): StrictJson {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw invalid('its header is not UTF-8', cause);
  }
  try {
    // A tensor brings 4 keys and up to MAX_DIMENSIONS + 2 numbers; most bring far fewer.
    return parseStrictJson(text, { depth: 4, items: 16 * MAX_TENSORS });
  } catch (cause) {
    throw invalid(`its header is not valid JSON: ${(cause as Error).message}`, cause);
  }
}

function readMetadata(value: StrictJson | undefined): ReadonlyMap<string, string> {
  if (value === undefined || value === null) return new Map();
  if (!(value instanceof Map)) throw invalid('its __metadata__ is not an object');
  for (const [key, text] of value)
    if (typeof text !== 'string') throw invalid(`its __metadata__ ${quote(key)} is not a string`);
  return value as ReadonlyMap<string, string>;
}

function readEntry(name: string, value: StrictJson, dataStart: number): SafetensorsEntry {
  const tensor = `tensor ${quote(name)}`;
  if (!(value instanceof Map)) throw invalid(`${tensor} is not described by an object`);

  const dtype = value.get('dtype');
  const bits = typeof dtype === 'string' ? DTYPE_BITS.get(dtype) : undefined;
  if (bits === undefined) throw invalid(`${tensor} has an unknown dtype ${quote(String(dtype))}`);

  const shape = value.get('shape');
  if (!Array.isArray(shape) || shape.length > MAX_DIMENSIONS || !shape.every(isCount))
    throw invalid(`${tensor} has no valid shape`);

  const offsets = value.get('data_offsets');
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isCount))
    throw invalid(`${tensor} has no valid data_offsets`);
  const [begin, end] = offsets as [number, number];
  if (begin > end) throw invalid(`${tensor} ends before it begins`);

  let size = 1;
  for (const n of shape as number[]) {
    size *= n;
    // Past 2^53 a product is no longer exact.
    if (size * 64 > Number.MAX_SAFE_INTEGER) throw invalid(`${tensor} has a shape that overflows`);
  }
  if ((size * bits) % 8 !== 0) throw invalid(`${tensor} does not end on a whole byte`);
  if ((size * bits) / 8 !== end - begin)
    throw invalid(`${tensor} needs ${(size * bits) / 8} bytes, its offsets give ${end - begin}`);
  if (!Number.isSafeInteger(dataStart + end)) throw invalid(`${tensor} lies past any file's end`);

  return {
    dtype: dtype as DType,
    shape: shape as number[],
    begin: dataStart + begin,
    end: dataStart + end,
  };
}

function isCount(value: StrictJson): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function quote(name: string): string {
  return JSON.stringify(name.length > 200 ? `${name.slice(0, 200)}…` : name);
}

function invalid(reason: string, cause?: unknown): SDError {
  return new SDError(
    'INVALID_FILE',
    `This is not a valid safetensors file: ${reason}. Fetch it again, or check where it comes from.`,
    { cause },
  );
}
