import { SDError } from '../../errors.ts';
import { uint64, type ByteSource } from '../../weights/source.ts';

/** A stored (uncompressed) member of a zip file; offsets in the file, in bytes. */
export interface ZipEntry {
  readonly name: string;
  readonly size: number;
  /** Of the local header, which the data follows. */
  readonly headerOffset: number;
}

const MAX_ENTRIES = 65536;
const MAX_DIRECTORY = 32 * 1024 * 1024;
/** Bytes of a local header before the name and the extra field. */
export const LOCAL_HEADER = 30;
/** The end record and the longest comment it can carry. */
const END_RECORD = 22;
const MAX_TAIL = END_RECORD + 65535;

/**
 * The members of a zip file, from its central directory: local headers of torch files hold no
 * sizes. Reads zip64. Source: APPNOTE.TXT 6.3.10, sections 4.3.12 to 4.3.16 and 4.5.3.
 * @throws SDError INVALID_FILE for what is broken, UNSUPPORTED_FORMAT for compressed members.
 */
export async function readZip(
  source: ByteSource,
  size: number,
  signal?: AbortSignal,
): Promise<ReadonlyMap<string, ZipEntry>> {
  const tailAt = Math.max(0, size - MAX_TAIL);
  const tail = view(await source.read(tailAt, size, signal));
  const end = findEnd(tail);
  let entries = tail.getUint16(end + 10, true);
  let directorySize = tail.getUint32(end + 12, true);
  let directoryAt = tail.getUint32(end + 16, true);
  if (entries === 0xffff || directorySize === 0xffffffff || directoryAt === 0xffffffff) {
    const locator = end - 20;
    if (locator < 0 || tail.getUint32(locator, true) !== 0x07064b50)
      throw notTorch('its zip64 locator is missing');
    const recordAt = uint64(tail, locator + 8);
    if (recordAt + 56 > size) throw notTorch('its zip64 record lies past its end');
    const record = view(await source.read(recordAt, recordAt + 56, signal));
    if (record.getUint32(0, true) !== 0x06064b50) throw notTorch('its zip64 record is missing');
    entries = uint64(record, 32);
    directorySize = uint64(record, 40);
    directoryAt = uint64(record, 48);
  }
  if (entries > MAX_ENTRIES) throw notTorch(`it has ${entries} members`);
  if (directorySize > MAX_DIRECTORY || directoryAt + directorySize > size)
    throw notTorch('its directory lies past its end');
  const directory = await source.read(directoryAt, directoryAt + directorySize, signal);
  return readDirectory(directory, entries, size);
}

/** A whole member. */
export async function readMember(
  source: ByteSource,
  entry: ZipEntry,
  size: number,
  signal?: AbortSignal,
): Promise<Uint8Array<ArrayBuffer>> {
  const header = await source.read(entry.headerOffset, entry.headerOffset + LOCAL_HEADER, signal);
  const begin = dataOffset(header, entry, size);
  return source.read(begin, begin + entry.size, signal);
}

/** Where a member's data starts, by its local header, which has an extra field of its own length. */
export function dataOffset(bytes: Uint8Array, entry: ZipEntry, size: number): number {
  const header = view(bytes);
  if (header.getUint32(0, true) !== 0x04034b50)
    throw notTorch(`the header of its member ${entry.name} is missing`);
  const begin =
    entry.headerOffset + LOCAL_HEADER + header.getUint16(26, true) + header.getUint16(28, true);
  if (begin + entry.size > size) throw notTorch(`its member ${entry.name} runs past its end`);
  return begin;
}

function findEnd(tail: DataView): number {
  for (let at = tail.byteLength - END_RECORD; at >= 0; at--)
    if (
      tail.getUint32(at, true) === 0x06054b50 &&
      at + END_RECORD + tail.getUint16(at + 20, true) === tail.byteLength
    )
      return at;
  throw notTorch('its directory is missing, so it is cut off');
}

function readDirectory(
  bytes: Uint8Array<ArrayBuffer>,
  count: number,
  size: number,
): ReadonlyMap<string, ZipEntry> {
  const directory = view(bytes);
  const entries = new Map<string, ZipEntry>();
  let at = 0;
  for (let i = 0; i < count; i++) {
    if (at + 46 > bytes.length || directory.getUint32(at, true) !== 0x02014b50)
      throw notTorch('its directory is cut off');
    const nameLength = directory.getUint16(at + 28, true);
    const extraLength = directory.getUint16(at + 30, true);
    const next = at + 46 + nameLength + extraLength + directory.getUint16(at + 32, true);
    if (next > bytes.length) throw notTorch('its directory is cut off');
    const name = new TextDecoder().decode(bytes.subarray(at + 46, at + 46 + nameLength));
    const method = directory.getUint16(at + 10, true);
    const fields = {
      size: directory.getUint32(at + 24, true),
      packed: directory.getUint32(at + 20, true),
      header: directory.getUint32(at + 42, true),
    };
    readZip64Extra(directory, at + 46 + nameLength, extraLength, fields);
    if (method !== 0 || fields.size !== fields.packed)
      throw new SDError(
        'UNSUPPORTED_FORMAT',
        `The member ${name} of this checkpoint is compressed; torch stores them plain. Unpack the file and load what is inside.`,
      );
    if (fields.header + LOCAL_HEADER + fields.size > size)
      throw notTorch(`its member ${name} runs past its end`);
    if (entries.has(name)) throw notTorch(`it has two members named ${name}`);
    entries.set(name, { name, size: fields.size, headerOffset: fields.header });
    at = next;
  }
  return entries;
}

/** Extra field 1 holds, in this order, those of the fields that are 0xFFFFFFFF in the entry. */
function readZip64Extra(
  directory: DataView,
  begin: number,
  length: number,
  fields: { size: number; packed: number; header: number },
): void {
  for (let at = begin; at + 4 <= begin + length;) {
    const id = directory.getUint16(at, true);
    const end = at + 4 + directory.getUint16(at + 2, true);
    if (end > begin + length) throw notTorch('an extra field of its directory is cut off');
    if (id === 1) {
      let value = at + 4;
      for (const key of ['size', 'packed', 'header'] as const)
        if (fields[key] === 0xffffffff) {
          if (value + 8 > end) throw notTorch('an extra field of its directory is cut off');
          fields[key] = uint64(directory, value);
          value += 8;
        }
    }
    at = end;
  }
}

function view(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

export function notTorch(reason: string): SDError {
  return new SDError(
    'INVALID_FILE',
    `This is not a valid torch checkpoint: ${reason}. Fetch it again, or check where it comes from.`,
  );
}
