/** A Python tuple; lists are arrays, dictionaries are Maps. */
export class PyTuple {
  readonly items: readonly PyValue[];

  constructor(items: readonly PyValue[]) {
    this.items = items;
  }
}

/** A name that a pickle asks to import. It is never looked up anywhere. */
export class PyGlobal {
  readonly name: string;

  constructor(module: string, name: string) {
    this.name = `${module}.${name}`;
  }
}

/** An object of a class that is not known here: its class and state, inert. */
export class PyStub {
  readonly type: PyValue;
  state: PyValue = null;

  constructor(type: PyValue) {
    this.type = type;
  }
}

/** What the caller makes of a persistent id or a known global; opaque to the unpickler. */
export class PyExternal<T = unknown> {
  readonly value: T;

  constructor(value: T) {
    this.value = value;
  }
}

export type PyValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | PyValue[]
  | Map<PyValue, PyValue>
  | Set<PyValue>
  | PyTuple
  | PyGlobal
  | PyStub
  | PyExternal;
