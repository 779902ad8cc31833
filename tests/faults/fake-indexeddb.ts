/** How an operation of {@link FakeIndexedDB} fails. */
export type Fault =
  | 'throw' // the call itself throws InvalidStateError (the connection is closing)
  | 'error' // the request fails with UnknownError
  | 'null' // the transaction aborts and names no reason
  | 'quota' // the transaction aborts with QuotaExceededError
  | 'hang' // nothing ever happens
  | 'lost'; // the connection closes under the transaction

type Handler = ((event: Event) => void) | null;

interface Operation {
  readonly name: string;
  readonly run: () => unknown;
  readonly request: FakeRequest;
  readonly fault: Fault | undefined;
}

class FakeRequest {
  result: unknown;
  error: DOMException | null = null;
  onsuccess: Handler = null;
  onerror: Handler = null;
  onupgradeneeded: Handler = null;
}

/**
 * As much of IndexedDB as the cache uses, in memory, with transactions that are all or nothing, a
 * quota, and an operation of choice that fails. One operation is one request, one open or one
 * commit, counted from 1.
 */
export class FakeIndexedDB {
  /** What is stored: survives "closing the browser", which is a new cache over the same one. */
  readonly data = new Map<string, unknown>();
  readonly log: string[] = [];
  /** Bytes of Blobs and buffers that fit. */
  quota = Infinity;
  failAt = Infinity;
  fault: Fault = 'error';
  /** Fails the operations that match, as often as they come. */
  failing: { readonly pattern: RegExp; readonly name: string } | undefined;
  operations = 0;
  /** False: somebody else made a database of this name, without our store. */
  hasStore = true;

  deleteDatabase(): FakeRequest {
    const request = new FakeRequest();
    setImmediate(() => {
      this.data.clear();
      this.hasStore = true;
      request.onsuccess?.(new Event('success'));
    });
    return request;
  }

  open(): FakeRequest {
    const request = new FakeRequest();
    const fault = this.count('open');
    setImmediate(() => {
      if (fault === 'hang') return;
      if (fault !== undefined) return fail(request, this.faultError(fault, 'open'));
      request.result = new FakeDatabase(this);
      request.onsuccess?.(new Event('success'));
    });
    return request;
  }

  used(): number {
    let bytes = 0;
    for (const value of this.data.values())
      if (value instanceof Blob) bytes += value.size;
      else if (value instanceof ArrayBuffer) bytes += value.byteLength;
    return bytes;
  }

  /** Notes an operation; the fault it meets, if any. */
  count(name: string): Fault | undefined {
    this.log.push(name);
    this.operations++;
    if (this.failing?.pattern.test(name)) return 'error';
    return this.operations === this.failAt ? this.fault : undefined;
  }

  faultError(fault: Fault, name: string): DOMException | null {
    if (this.failing?.pattern.test(name)) return new DOMException('', this.failing.name);
    if (fault === 'null') return null;
    return new DOMException('', fault === 'quota' ? 'QuotaExceededError' : 'UnknownError');
  }
}

function fail(request: FakeRequest, error: DOMException | null): void {
  request.error = error;
  request.onerror?.(new Event('error'));
}

class FakeDatabase {
  closed = false;
  onclose: Handler = null;
  onversionchange: Handler = null;
  readonly factory: FakeIndexedDB;

  constructor(factory: FakeIndexedDB) {
    this.factory = factory;
  }

  get objectStoreNames(): Pick<DOMStringList, 'contains'> {
    return { contains: () => this.factory.hasStore };
  }

  transaction(): FakeTransaction {
    if (!this.factory.hasStore) throw new DOMException('no such store', 'NotFoundError');
    if (this.closed) throw new DOMException('closing', 'InvalidStateError');
    return new FakeTransaction(this);
  }

  close(): void {
    this.closed = true;
  }
}

class FakeTransaction {
  error: DOMException | null = null;
  oncomplete: Handler = null;
  onabort: Handler = null;
  onerror: Handler = null;
  readonly #db: FakeDatabase;
  readonly #queue: Operation[] = [];
  readonly #writes = new Map<string, { readonly value: unknown } | undefined>();
  #ended = false;

  constructor(db: FakeDatabase) {
    this.#db = db;
    setImmediate(() => this.#next());
  }

  /** What idb-keyval's `promisifyRequest` reads when a transaction completes. */
  readonly result = undefined;

  objectStore(): object {
    const { data } = this.#db.factory;
    const current = (key: string): unknown =>
      this.#writes.has(key) ? this.#writes.get(key)?.value : data.get(key);
    return {
      transaction: this,
      get: (key: string) => this.#ask(`get ${key}`, () => current(key)),
      put: (value: unknown, key: string) => {
        // Like the structured clone of a record: later changes do not reach the stored one.
        const copy = value instanceof Blob ? value : structuredClone(value);
        return this.#ask(`put ${key}`, () => this.#writes.set(key, { value: copy }));
      },
      delete: (key: string) => this.#ask(`delete ${key}`, () => this.#writes.set(key, undefined)),
      getAllKeys: () => this.#ask('keys', () => [...data.keys()].sort()),
    };
  }

  abort(): void {
    if (this.#ended) throw new DOMException('ended', 'InvalidStateError');
    this.#abort(null);
  }

  #ask(name: string, run: () => unknown): FakeRequest {
    if (this.#ended) throw new DOMException('ended', 'TransactionInactiveError');
    const { factory } = this.#db;
    const request = new FakeRequest();
    const fault = factory.count(name);
    if (fault === 'throw') throw new DOMException('closing', 'InvalidStateError');
    this.#queue.push({ name, run, request, fault });
    return request;
  }

  /** Requests run one per turn; the transaction ends in the first turn with none left. */
  #next(): void {
    if (this.#ended) return;
    const operation = this.#queue.shift();
    if (!operation) return this.#commit();
    if (operation.fault !== undefined) return this.#fail(operation, operation.fault);
    operation.request.result = operation.run();
    operation.request.onsuccess?.(new Event('success'));
    setImmediate(() => this.#next());
  }

  #fail({ name, request }: Operation, fault: Fault): void {
    if (fault === 'hang') return;
    if (fault === 'lost') {
      this.#db.closed = true;
      this.#db.onclose?.(new Event('close'));
      return this.#abort(new DOMException('', 'AbortError'));
    }
    const error = this.#db.factory.faultError(fault, name);
    // With `null` the transaction aborts while the request has no error of its own.
    if (fault !== 'null') fail(request, error);
    this.#abort(error);
  }

  #commit(): void {
    const { factory } = this.#db;
    if (this.#writes.size > 0) {
      const fault = factory.count('commit');
      if (fault === 'hang') return;
      if (fault !== undefined) return this.#abort(factory.faultError(fault, 'commit'));
      const before = new Map(factory.data);
      for (const [key, write] of this.#writes)
        if (write) factory.data.set(key, write.value);
        else factory.data.delete(key);
      if (factory.used() > factory.quota) {
        factory.data.clear();
        for (const [key, value] of before) factory.data.set(key, value);
        return this.#abort(new DOMException('', 'QuotaExceededError'));
      }
    }
    this.#ended = true;
    this.oncomplete?.(new Event('complete'));
  }

  #abort(error: DOMException | null): void {
    if (this.#ended) return;
    this.#ended = true;
    this.error = error;
    for (const { request } of this.#queue) fail(request, error);
    this.onabort?.(new Event('abort'));
  }
}
