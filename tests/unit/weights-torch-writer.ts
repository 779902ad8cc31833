import { concat } from './weights-helpers.ts';

/** A part of a pickle: opcodes that push one value. */
export type Code = Uint8Array;

const bytes = (...codes: number[]): Uint8Array => Uint8Array.from(codes);
const ascii = (value: string): Uint8Array => new TextEncoder().encode(value);

function uint32(value: number): Uint8Array {
  const out = new Uint8Array(4);
  new DataView(out.buffer).setInt32(0, value, true);
  return out;
}
const string = (value: string): Code =>
  concat([bytes(0x58), uint32(ascii(value).length), ascii(value)]);
/** Integers past 32 bits as LONG1. */
function integer(value: number): Code {
  if (Math.abs(value) < 2 ** 31) return concat([bytes(0x4a), uint32(value)]);
  const out = new Uint8Array(8);
  new DataView(out.buffer).setBigInt64(0, BigInt(value), true);
  return concat([bytes(0x8a, 8), out]);
}
const tuple = (...items: Code[]): Code => concat([bytes(0x28), ...items, bytes(0x74)]);
const global = (module: string, name: string): Code => ascii(`c${module}\n${name}\n`);

/** A dictionary of numbers and of values given as code, protocol 2. */
export function pickleOf(
  numbers: Readonly<Record<string, number>>,
  values: readonly (readonly [string, Code | number])[],
): Uint8Array<ArrayBuffer> {
  const pairs = [...Object.entries(numbers), ...values].map(([key, value]) =>
    concat([string(key), typeof value === 'number' ? integer(value) : value]),
  );
  return concat([bytes(0x80, 2, 0x7d, 0x28), ...pairs, bytes(0x75, 0x2e)]);
}

export function storage(key: string, count: number, type = 'FloatStorage'): Code {
  const id = tuple(string('storage'), global('torch', type), string(key), string('cpu'), integer(count)); // prettier-ignore
  return concat([id, bytes(0x51)]);
}

/** A call of `_rebuild_tensor_v2`. */
export function tensorCall(args: {
  readonly storage: Code;
  readonly offset: number;
  readonly shape: readonly number[];
  readonly strides: readonly number[];
}): Code {
  const list = (values: readonly number[]): Code => tuple(...values.map(integer));
  return concat([
    global('torch._utils', '_rebuild_tensor_v2'),
    tuple(args.storage, integer(args.offset), list(args.shape), list(args.strides), bytes(0x89), bytes(0x7d)), // prettier-ignore
    bytes(0x52),
  ]);
}

export interface ZipMember {
  readonly name: string;
  readonly data: Uint8Array;
  readonly method?: number;
  /** What the directory claims. */
  readonly size?: number;
}

/** A zip file with stored members and true offsets, but for what a member claims. */
export function writeZip(members: readonly ZipMember[]): Uint8Array<ArrayBuffer> {
  const files: Uint8Array[] = [];
  const directory: Uint8Array[] = [];
  let at = 0;
  for (const { name, data, method = 0, size = data.length } of members) {
    const local = new Uint8Array(30);
    const entry = new Uint8Array(46);
    const [l, e] = [new DataView(local.buffer), new DataView(entry.buffer)];
    l.setUint32(0, 0x04034b50, true);
    l.setUint16(26, ascii(name).length, true);
    e.setUint32(0, 0x02014b50, true);
    e.setUint16(10, method, true);
    e.setUint32(20, size, true);
    e.setUint32(24, size, true);
    e.setUint16(28, ascii(name).length, true);
    e.setUint32(42, at, true);
    files.push(local, ascii(name), data);
    directory.push(entry, ascii(name));
    at += 30 + ascii(name).length + data.length;
  }
  const listed = concat(directory);
  const end = new Uint8Array(22);
  const view = new DataView(end.buffer);
  view.setUint32(0, 0x06054b50, true);
  view.setUint16(8, members.length, true);
  view.setUint16(10, members.length, true);
  view.setUint32(12, listed.length, true);
  view.setUint32(16, at, true);
  return concat([...files, listed, end]);
}
