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
  const unpickler = new Unpickler(bytes, hooks, begin);
  return { value: unpickler.run(), end: unpickler.at };
}

class Unpickler {
  at: number;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #hooks: PickleHooks;
  readonly #stack: (PyValue | typeof MARK)[] = [];
  readonly #memo = new Map<number, PyValue>();

  constructor(bytes: Uint8Array, hooks: PickleHooks, begin: number) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#hooks = hooks;
    this.at = begin;
  }

  run(): PyValue {
    for (;;) {
      const code = this.#uint(1);
      if (code === 0x2e) return this.#pop(); // STOP
      this.#step(code);
    }
  }

  #step(code: number): void {
    switch (code) {
      case 0x80: // PROTO
        if (this.#uint(1) > 5) this.#fail('a protocol after 5');
        return;
      case 0x95: // FRAME
        this.#take(8);
        return;
      case 0x28: // MARK
        this.#stack.push(MARK);
        return;
      case 0x30: // POP
        if (this.#stack.pop() === undefined) this.#fail('an empty stack');
        return;
      case 0x31: // POP_MARK
        this.#popMark();
        return;
      case 0x32: // DUP
        this.#push(this.#top());
        return;
      case 0x4e: // NONE
        return this.#push(null);
      case 0x88: // NEWTRUE
        return this.#push(true);
      case 0x89: // NEWFALSE
        return this.#push(false);
      case 0x4a: // BININT
        return this.#push(this.#view.getInt32(this.#take(4), true));
      case 0x4b: // BININT1
        return this.#push(this.#uint(1));
      case 0x4d: // BININT2
        return this.#push(this.#uint(2));
      case 0x47: // BINFLOAT
        return this.#push(this.#view.getFloat64(this.#take(8), false));
      case 0x8a: // LONG1
        return this.#push(this.#long(this.#uint(1)));
      case 0x8b: // LONG4
        return this.#push(this.#long(this.#uint(4)));
      case 0x49: // INT
      case 0x4c: // LONG
        return this.#push(this.#textNumber());
      case 0x46: // FLOAT
        return this.#push(Number(this.#line()));
      default:
        return this.#stepStrings(code);
    }
  }

  #stepStrings(code: number): void {
    switch (code) {
      case 0x58: // BINUNICODE
        return this.#push(this.#text(this.#uint(4)));
      case 0x8c: // SHORT_BINUNICODE
        return this.#push(this.#text(this.#uint(1)));
      case 0x8d: // BINUNICODE8
        return this.#push(this.#text(this.#uint(8)));
      case 0x54: // BINSTRING: a str of Python 2
        return this.#push(this.#latin1(this.#uint(4)));
      case 0x55: // SHORT_BINSTRING
        return this.#push(this.#latin1(this.#uint(1)));
      case 0x42: // BINBYTES
        return this.#push(this.#slice(this.#uint(4)));
      case 0x43: // SHORT_BINBYTES
        return this.#push(this.#slice(this.#uint(1)));
      case 0x8e: // BINBYTES8
      case 0x96: // BYTEARRAY8
        return this.#push(this.#slice(this.#uint(8)));
      case 0x71: // BINPUT
        return this.#remember(this.#uint(1));
      case 0x72: // LONG_BINPUT
        return this.#remember(this.#uint(4));
      case 0x94: // MEMOIZE
        return this.#remember(this.#memo.size);
      case 0x68: // BINGET
        return this.#recall(this.#uint(1));
      case 0x6a: // LONG_BINGET
        return this.#recall(this.#uint(4));
      default:
        return this.#stepContainers(code);
    }
  }

  #stepContainers(code: number): void {
    switch (code) {
      case 0x5d: // EMPTY_LIST
        return this.#push([]);
      case 0x7d: // EMPTY_DICT
        return this.#push(new Map());
      case 0x8f: // EMPTY_SET
        return this.#push(new Set());
      case 0x29: // EMPTY_TUPLE
        return this.#push(new PyTuple([]));
      case 0x85: // TUPLE1
      case 0x86: // TUPLE2
      case 0x87: {
        // TUPLE3
        const items = Array.from({ length: code - 0x84 }, () => this.#pop()).reverse();
        return this.#push(new PyTuple(items));
      }
      case 0x74: // TUPLE
        return this.#push(new PyTuple(this.#popMark()));
      case 0x6c: // LIST
        return this.#push(this.#popMark());
      case 0x64: // DICT
        return this.#push(toMap(this.#popMark()));
      case 0x91: // FROZENSET
        return this.#push(new Set(this.#popMark()));
      case 0x61: // APPEND
        return this.#append([this.#pop()]);
      case 0x65: // APPENDS
      case 0x90: // ADDITEMS
        return this.#append(this.#popMark());
      case 0x73: {
        // SETITEM
        const value = this.#pop();
        return this.#setItems([this.#pop(), value]);
      }
      case 0x75: // SETITEMS
        return this.#setItems(this.#popMark());
      default:
        return this.#stepObjects(code);
    }
  }

  #stepObjects(code: number): void {
    switch (code) {
      case 0x63: // GLOBAL
        return this.#push(new PyGlobal(this.#line(), this.#line()));
      case 0x93: {
        // STACK_GLOBAL
        const name = this.#pop();
        const module = this.#pop();
        if (typeof module !== 'string' || typeof name !== 'string')
          this.#fail('a global without a name');
        return this.#push(new PyGlobal(module, name));
      }
      case 0x52: // REDUCE
      case 0x81: {
        // NEWOBJ
        const args = this.#pop();
        const type = this.#pop();
        if (!(args instanceof PyTuple)) this.#fail('a call without arguments');
        return this.#push(this.#call(type, args.items));
      }
      case 0x92: {
        // NEWOBJ_EX
        this.#pop();
        this.#pop();
        return this.#push(new PyStub(this.#pop()));
      }
      case 0x62: {
        // BUILD: attributes of anything but a stub (`_metadata` of a state dict) are not weights
        const state = this.#pop();
        const object = this.#top();
        if (object instanceof PyStub) object.state = state;
        return;
      }
      case 0x51: // BINPERSID
        return this.#push(this.#hooks.persistentId(this.#pop()));
      default:
        this.#fail(`opcode 0x${code.toString(16)}`);
    }
  }

  #call(type: PyValue, args: readonly PyValue[]): PyValue {
    if (type instanceof PyGlobal) {
      const value = this.#hooks.call(type.name, args);
      if (value !== undefined) return value;
    }
    return new PyStub(type);
  }

  #append(items: readonly PyValue[]): void {
    const list = this.#top();
    if (Array.isArray(list)) for (const item of items) list.push(item);
    else if (list instanceof Set) for (const item of items) list.add(item);
    else if (!(list instanceof PyStub)) this.#fail('items for what is no list');
  }

  #setItems(items: readonly PyValue[]): void {
    const dict = this.#top();
    if (items.length % 2 !== 0) this.#fail('a key without a value');
    if (dict instanceof Map)
      for (let i = 0; i < items.length; i += 2) dict.set(items[i], items[i + 1]);
    else if (!(dict instanceof PyStub)) this.#fail('items for what is no dictionary');
  }

  #remember(key: number): void {
    this.#memo.set(key, this.#top());
  }

  #recall(key: number): void {
    const value = this.#memo.get(key);
    if (value === undefined) this.#fail('a reference to nothing');
    this.#push(value);
  }

  #push(value: PyValue): void {
    this.#stack.push(value);
  }

  #pop(): PyValue {
    const value = this.#stack.pop();
    if (value === undefined || value === MARK) this.#fail('an empty stack');
    return value as PyValue;
  }

  #top(): PyValue {
    const value = this.#stack.at(-1);
    if (value === undefined || value === MARK) this.#fail('an empty stack');
    return value as PyValue;
  }

  #popMark(): PyValue[] {
    const mark = this.#stack.lastIndexOf(MARK);
    if (mark < 0) this.#fail('no mark');
    const items = this.#stack.splice(mark + 1) as PyValue[];
    this.#stack.pop();
    return items;
  }

  #uint(size: number): number {
    const at = this.#take(size);
    switch (size) {
      case 1:
        return this.#bytes[at];
      case 2:
        return this.#view.getUint16(at, true);
      case 4:
        return this.#view.getUint32(at, true);
      default:
        return this.#view.getUint32(at, true) + this.#view.getUint32(at + 4, true) * 2 ** 32;
    }
  }

  /** A two's complement integer of `length` bytes. */
  #long(length: number): number | bigint {
    if (length > MAX_LONG) this.#fail('a number of too many digits');
    let value = 0n;
    const at = this.#take(length);
    for (let i = length - 1; i >= 0; i--) value = (value << 8n) | BigInt(this.#bytes[at + i]);
    const signed = BigInt.asIntN(8 * length, value);
    return Number.isSafeInteger(Number(signed)) ? Number(signed) : signed;
  }

  #textNumber(): PyValue {
    const line = this.#line().replace(/L$/, '');
    if (line === '00' || line === '01') return line === '01';
    if (!/^-?\d{1,15}$/.test(line)) this.#fail('a number that is none');
    return Number(line);
  }

  #line(): string {
    const end = this.#bytes.subarray(this.at, this.at + MAX_LINE).indexOf(0x0a);
    if (end < 0) {
      if (this.at + MAX_LINE > this.#bytes.length) throw new PickleEnds('the pickle is cut off');
      this.#fail('a line without an end');
    }
    const line = this.#latin1(end);
    this.at++;
    return line;
  }

  #text(length: number): string {
    try {
      return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(this.#slice(length));
    } catch (cause) {
      if (cause instanceof PickleEnds) throw cause;
      return this.#fail('text that is not UTF-8');
    }
  }

  #latin1(length: number): string {
    return new TextDecoder('latin1').decode(this.#slice(length));
  }

  #slice(length: number): Uint8Array {
    const at = this.#take(length);
    return this.#bytes.subarray(at, at + length);
  }

  #take(length: number): number {
    const at = this.at;
    if (at + length > this.#bytes.length) throw new PickleEnds('the pickle is cut off');
    this.at = at + length;
    return at;
  }

  #fail(what: string): never {
    throw new SDError(
      'INVALID_FILE',
      `This is not a pickle that torch writes: it has ${what} at byte ${this.at}.`,
    );
  }
}

function toMap(items: readonly PyValue[]): Map<PyValue, PyValue> {
  const map = new Map<PyValue, PyValue>();
  for (let i = 0; i + 1 < items.length; i += 2) map.set(items[i], items[i + 1]);
  return map;
}
