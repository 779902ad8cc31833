import { SDError } from '../../errors.ts';
import { PyGlobal, PyStub, PyTuple, type PyValue } from './python.ts';

/** What a pickle may build besides plain data; anything else becomes a {@link PyStub}. */
export interface PickleHooks {
  persistentId(id: PyValue): PyValue;
  /** The result of calling `name` with `args`; undefined for what is not known. */
  call(name: string, args: readonly PyValue[]): PyValue | undefined;
}

const MAX_LINE = 1024;
const MAX_LONG = 64;
const MARK = Symbol('mark');

/** The stream ended within a pickle: more bytes may mend that. */
export class PickleEnds extends Error {}

/**
 * Reads one pickle, protocols 2 to 5. It can build numbers, strings, lists, tuples, sets,
 * dictionaries and what the hooks return. Nothing is imported or called, keys never become
 * properties, and every opcode takes at least one byte of input, so work and memory are bounded by
 * the length of the pickle.
 *
 * Opcodes: CPython `Lib/pickle.py`.
 *
 * @returns the value, and the offset after the pickle.
 * @throws SDError INVALID_FILE; PickleEnds where `bytes` end too early.
 */
export function unpickle(
  bytes: Uint8Array,
  hooks: PickleHooks,
  begin = 0,
): { value: PyValue; end: number } {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const stack: (PyValue | typeof MARK)[] = [];
  const memo = new Map<number, PyValue>();
  let at = begin;

  function fail(what: string): never {
    throw new SDError(
      'INVALID_FILE',
      `This is not a pickle that torch writes: it has ${what} at byte ${at}.`,
    );
  }

  /** Where the next `length` bytes are. */
  function take(length: number): number {
    const start = at;
    if (start + length > bytes.length) throw new PickleEnds('the pickle is cut off');
    at += length;
    return start;
  }

  function slice(length: number): Uint8Array {
    const start = take(length);
    return bytes.subarray(start, start + length);
  }

  function uint(size: 1 | 2 | 4 | 8): number {
    const start = take(size);
    let value = 0;
    for (let i = size - 1; i >= 0; i--) value = value * 256 + bytes[start + i];
    return value;
  }

  /** A two's complement integer of `length` bytes. */
  function long(length: number): number | bigint {
    if (length > MAX_LONG) fail('a number of too many digits');
    const value = slice(length).reduceRight((high, byte) => (high << 8n) | BigInt(byte), 0n);
    const signed = BigInt.asIntN(8 * length, value);
    return Number.isSafeInteger(Number(signed)) ? Number(signed) : signed;
  }

  function textNumber(): PyValue {
    const text = line().replace(/L$/, '');
    if (text === '00' || text === '01') return text === '01';
    if (!/^-?\d{1,15}$/.test(text)) fail('a number that is none');
    return Number(text);
  }

  function line(): string {
    const end = bytes.subarray(at, at + MAX_LINE).indexOf(0x0a);
    if (end < 0) {
      if (at + MAX_LINE > bytes.length) throw new PickleEnds('the pickle is cut off');
      fail('a line without an end');
    }
    const text = latin1(end);
    at++;
    return text;
  }

  function text(length: number): string {
    const utf8 = slice(length);
    try {
      return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(utf8);
    } catch {
      return fail('text that is not UTF-8');
    }
  }

  function latin1(length: number): string {
    return new TextDecoder('latin1').decode(slice(length));
  }

  function top(): PyValue {
    const value = stack.at(-1);
    if (value === undefined || value === MARK) fail('an empty stack');
    return value as PyValue;
  }

  function pop(): PyValue {
    const value = top();
    stack.pop();
    return value;
  }

  function popMark(): PyValue[] {
    const mark = stack.lastIndexOf(MARK);
    if (mark < 0) fail('no mark');
    const items = stack.splice(mark + 1) as PyValue[];
    stack.pop();
    return items;
  }

  const popTuple = (length: number) => new PyTuple(Array.from({ length }, () => pop()).reverse());

  function recall(key: number): PyValue {
    const value = memo.get(key);
    if (value === undefined) fail('a reference to nothing');
    return value as PyValue;
  }

  function named(): PyValue {
    const [name, module] = [pop(), pop()];
    if (typeof module !== 'string' || typeof name !== 'string') fail('a global without a name');
    return new PyGlobal(module as string, name as string);
  }

  function call(): PyValue {
    const [args, type] = [pop(), pop()];
    if (!(args instanceof PyTuple)) return fail('a call without arguments');
    const value = type instanceof PyGlobal ? hooks.call(type.name, args.items) : undefined;
    return value === undefined ? new PyStub(type) : value;
  }

  function append(items: readonly PyValue[]): void {
    const list = top();
    if (Array.isArray(list)) for (const item of items) list.push(item);
    else if (list instanceof Set) for (const item of items) list.add(item);
    else if (!(list instanceof PyStub)) fail('items for what is no list');
  }

  function setItems(items: readonly PyValue[]): void {
    const dict = top();
    if (items.length % 2 !== 0) fail('a key without a value');
    if (dict instanceof Map)
      for (let i = 0; i < items.length; i += 2) dict.set(items[i], items[i + 1]);
    else if (!(dict instanceof PyStub)) fail('items for what is no dictionary');
  }

  /** Opcodes that push a value. */
  const pushing: Readonly<Record<number, () => PyValue>> = {
    0x32: top, // DUP
    0x4e: () => null, // NONE
    0x88: () => true, // NEWTRUE
    0x89: () => false, // NEWFALSE
    0x4a: () => view.getInt32(take(4), true), // BININT
    0x4b: () => uint(1), // BININT1
    0x4d: () => uint(2), // BININT2
    0x47: () => view.getFloat64(take(8), false), // BINFLOAT
    0x8a: () => long(uint(1)), // LONG1
    0x8b: () => long(uint(4)), // LONG4
    0x49: textNumber, // INT
    0x4c: textNumber, // LONG
    0x46: () => Number(line()), // FLOAT
    0x58: () => text(uint(4)), // BINUNICODE
    0x8c: () => text(uint(1)), // SHORT_BINUNICODE
    0x8d: () => text(uint(8)), // BINUNICODE8
    0x54: () => latin1(uint(4)), // BINSTRING: a str of Python 2
    0x55: () => latin1(uint(1)), // SHORT_BINSTRING
    0x42: () => slice(uint(4)), // BINBYTES
    0x43: () => slice(uint(1)), // SHORT_BINBYTES
    0x8e: () => slice(uint(8)), // BINBYTES8
    0x96: () => slice(uint(8)), // BYTEARRAY8
    0x68: () => recall(uint(1)), // BINGET
    0x6a: () => recall(uint(4)), // LONG_BINGET
    0x5d: () => [], // EMPTY_LIST
    0x7d: () => new Map(), // EMPTY_DICT
    0x8f: () => new Set(), // EMPTY_SET
    0x29: () => popTuple(0), // EMPTY_TUPLE
    0x85: () => popTuple(1), // TUPLE1
    0x86: () => popTuple(2), // TUPLE2
    0x87: () => popTuple(3), // TUPLE3
    0x74: () => new PyTuple(popMark()), // TUPLE
    0x6c: popMark, // LIST
    0x64: () => toMap(popMark()), // DICT
    0x91: () => new Set(popMark()), // FROZENSET
    0x63: () => new PyGlobal(line(), line()), // GLOBAL
    0x93: named, // STACK_GLOBAL
    0x52: call, // REDUCE
    0x81: call, // NEWOBJ
    0x92: () => new PyStub(popTuple(3).items[0]), // NEWOBJ_EX
    0x51: () => hooks.persistentId(pop()), // BINPERSID
  };

  /** The others. */
  const acting: Readonly<Record<number, () => void>> = {
    // PROTO
    0x80: () => {
      if (uint(1) > 5) fail('a protocol after 5');
    },
    0x95: () => take(8), // FRAME
    0x28: () => stack.push(MARK), // MARK
    // POP
    0x30: () => {
      if (stack.pop() === undefined) fail('an empty stack');
    },
    0x31: popMark, // POP_MARK
    0x71: () => memo.set(uint(1), top()), // BINPUT
    0x72: () => memo.set(uint(4), top()), // LONG_BINPUT
    0x94: () => memo.set(memo.size, top()), // MEMOIZE
    0x61: () => append([pop()]), // APPEND
    0x65: () => append(popMark()), // APPENDS
    0x90: () => append(popMark()), // ADDITEMS
    0x73: () => setItems(popTuple(2).items), // SETITEM
    0x75: () => setItems(popMark()), // SETITEMS
    // BUILD: attributes of anything but a stub (`_metadata` of a state dict) are not weights
    0x62: () => {
      const state = pop();
      const object = top();
      if (object instanceof PyStub) object.state = state;
    },
  };

  for (;;) {
    const code = uint(1);
    if (code === 0x2e) return { value: pop(), end: at }; // STOP
    if (code in pushing) stack.push(pushing[code]());
    else if (code in acting) acting[code]();
    else fail(`opcode 0x${code.toString(16)}`);
  }
}

function toMap(items: readonly PyValue[]): Map<PyValue, PyValue> {
  const map = new Map<PyValue, PyValue>();
  for (let i = 0; i + 1 < items.length; i += 2) map.set(items[i], items[i + 1]);
  return map;
}
