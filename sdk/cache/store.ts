import { promisifyRequest, type UseStore } from 'idb-keyval';

const STORE = 'entries';
const VERSION = 1;

export interface StoreOptions {
  /** Default `stable-diffusion-web`. */
  readonly name?: string;
  readonly indexedDB?: IDBFactory;
  /** Milliseconds after which an operation counts as lost. Default 60 000. */
  readonly timeout?: number;
}

/**
 * A store function for idb-keyval that survives what IndexedDB does in the field: connections that
 * close by themselves (Safari drops them in the background), transactions that abort with no error,
 * operations that never end, and another tab that wants to upgrade or delete the database.
 *
 * Durability is relaxed: after a power cut a shard may be absent, and is then fetched again.
 */
export function modelStore(options: StoreOptions = {}): UseStore {
  const { name = 'stable-diffusion-web', timeout = 60_000 } = options;
  let connection: Promise<IDBDatabase> | undefined;

  const connect = async (): Promise<IDBDatabase> => {
    const factory = options.indexedDB ?? globalThis.indexedDB;
    if (!factory) throw new DOMException('there is no IndexedDB here', 'NotSupportedError');
    const request = factory.open(name, VERSION);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE);
    const db = await promisifyRequest(request);
    if (!db.objectStoreNames.contains(STORE)) {
      // Made by another script, or by a browser that lost what was in it.
      db.close();
      await promisifyRequest(factory.deleteDatabase(name));
      return connect();
    }
    const drop = (): void => {
      connection = undefined;
    };
    db.onclose = drop;
    db.onversionchange = () => {
      drop();
      db.close();
    };
    return db;
  };

  return async (mode, callback) => {
    let db: IDBDatabase | undefined;
    let transaction: IDBTransaction | undefined;
    const run = async (): Promise<Awaited<ReturnType<typeof callback>>> => {
      connection ??= connect();
      db = await connection;
      transaction = db.transaction(STORE, mode, { durability: 'relaxed' });
      return await callback(transaction.objectStore(STORE));
    };
    try {
      return await withTimeout(run(), timeout);
    } catch (error) {
      connection = undefined;
      const cause = error ?? transaction?.error;
      try {
        transaction?.abort();
      } catch {
        // It has ended already.
      }
      db?.close();
      throw cause ?? new DOMException('the browser gave no reason', 'UnknownError');
    }
  };
}

async function withTimeout<T>(work: Promise<T>, milliseconds: number): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new DOMException('storage did not answer', 'TimeoutError')),
      milliseconds,
    );
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
