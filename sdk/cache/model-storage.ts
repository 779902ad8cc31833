import { get, keys as storedKeys, promisifyRequest, type UseStore } from 'idb-keyval';
import { failureKind } from './failure.ts';
import { asModelRecord, keyRest, keys, referenced, type ModelRecord } from './record.ts';

/** Of an operation that fails, before the storage counts as unusable. */
export const TRIES = 3;

/**
 * The models in IndexedDB. No operation throws on account of the storage: what cannot be read is absent,
 * what cannot be written is not kept, and `onNotice` is told once why.
 */
export class ModelStorage {
  protected readonly store: UseStore;
  readonly #onNotice: (notice: string) => void;
  readonly #backOff: number;
  #available = true;

  constructor(
    store: UseStore,
    options: { onNotice?: (notice: string) => void; backOff?: number } = {},
  ) {
    this.store = store;
    this.#onNotice = options.onNotice ?? (() => {});
    this.#backOff = options.backOff ?? 100;
    if (!globalThis.crypto?.subtle)
      this.disable('Models are not kept: this page is not served over HTTPS.');
  }

  /** False once the storage has proved unusable in this session. */
  get available(): boolean {
    return this.#available;
  }

  /** Deletes a model and every shard that no other model uses. False where there was none. */
  async delete(key: string): Promise<boolean> {
    return (await this.attempt(() => this.remove(key))) ?? false;
  }

  /** Says why nothing is kept any more; once. */
  protected disable(notice: string): void {
    if (this.#available) this.#onNotice(notice);
    this.#available = false;
  }

  /** Runs an operation of the store, again after a passing fault; undefined where it fails for good. */
  protected async attempt<T>(operation: () => Promise<T>): Promise<T | undefined> {
    for (let tries = 1; this.#available; tries++)
      try {
        return await operation();
      } catch (error) {
        const kind = failureKind(error);
        if (kind === 'unreadable') return undefined;
        if (kind === 'unavailable')
          this.disable(`The browser keeps nothing here: ${messageOf(error)}.`);
        else if (tries >= TRIES)
          this.disable(
            `The browser's storage fails: ${messageOf(error)}. Models are not kept in this session; ` +
              'if it happens again, clear the data of this site.',
          );
        else await new Promise((resolve) => setTimeout(resolve, this.#backOff * tries));
      }
    return undefined;
  }

  protected async readRecords(): Promise<ModelRecord[]> {
    const records: ModelRecord[] = [];
    for (const key of await storedKeys(this.store))
      if (keyRest(key, 'model') !== undefined) {
        const record = asModelRecord(await get(key, this.store));
        if (record) records.push(record);
      }
    return records;
  }

  /** One transaction, so that a shard another tab is just adding is seen with its record. */
  protected remove(key: string): Promise<boolean> {
    return this.store('readwrite', async (store) => {
      const all = await promisifyRequest<IDBValidKey[]>(store.getAllKeys());
      const modelKeys = all.filter((stored) => keyRest(stored, 'model') !== undefined);
      const values = await Promise.all(
        modelKeys.map((stored) => promisifyRequest<unknown>(store.get(stored))),
      );
      const kept: ModelRecord[] = [];
      let existed = false;
      values.forEach((value, i) => {
        const isIt = modelKeys[i] === keys.model(key);
        existed ||= isIt;
        const record = asModelRecord(value);
        if (isIt) store.delete(modelKeys[i]);
        else if (record) kept.push(record);
      });
      const needed = referenced(kept);
      for (const stored of all) {
        const hash = keyRest(stored, 'shard');
        if (hash !== undefined && !needed.has(hash)) store.delete(stored);
        if (keyRest(stored, 'text')?.startsWith(`${key}/`)) store.delete(stored);
      }
      await promisifyRequest(store.transaction);
      return existed;
    });
  }
}

function messageOf(error: unknown): string {
  const { name, message } = error as Partial<DOMException>;
  return message || name || 'it gave no reason';
}
