import { get, keys as storedKeys, promisifyRequest, type UseStore } from 'idb-keyval';
import { failureKind, type FailureKind } from './failure.ts';
import {
  asModelRecord,
  keyRest,
  keys,
  referenced,
  type Group,
  type ModelRecord,
} from './record.ts';

/** What {@link ModelList.list} tells of a model. */
export interface StoredModel {
  readonly key: string;
  readonly name: string;
  /** Bytes of its weights that are stored. */
  readonly bytes: number;
  readonly created: Date;
  readonly lastUsed: Date;
}

export interface Usage {
  /** Bytes of all models stored here; one that two models share counts once. */
  readonly models: number;
  /** What the browser says of the whole origin, where it says anything. */
  readonly origin: number | undefined;
  readonly quota: number | undefined;
}

const TRIES = 3;

/**
 * The models in IndexedDB, as people see them. No operation throws on account of the storage: what
 * cannot be read is absent, what cannot be written is not kept, and `onNotice` is told once why.
 */
export class ModelList {
  protected readonly store: UseStore;
  readonly #onNotice: (notice: string) => void;
  readonly #backOff: number;
  #available = true;
  /** Safari has lost Blobs in several releases; there shards are kept as buffers. */
  protected asBuffers = false;

  constructor(
    store: UseStore,
    options: { onNotice?: (notice: string) => void; backOff?: number } = {},
  ) {
    this.store = store;
    this.#onNotice = options.onNotice ?? (() => {});
    this.#backOff = options.backOff ?? 100;
    if (!globalThis.crypto?.subtle)
      this.#disable('Models are not kept: this page is not served over HTTPS.');
  }

  /** False once the storage has proved unusable in this session. */
  get available(): boolean {
    return this.#available;
  }

  async list(): Promise<StoredModel[]> {
    const records = await this.#records();
    return records.map(({ key, name, created, used, groups }) => ({
      key,
      name,
      bytes: sumSizes([...groups.values()].map(({ shards }) => shards)),
      created: new Date(created),
      lastUsed: new Date(used),
    }));
  }

  /** Deletes a model and every shard that no other model uses. False where there was none. */
  async delete(key: string): Promise<boolean> {
    return (await this.attempt(() => this.#remove(key))) ?? false;
  }

  async clear(): Promise<void> {
    for (const { key } of await this.list()) await this.delete(key);
  }

  async usage(): Promise<Usage> {
    const records = await this.#records();
    const shards = records.flatMap(({ groups }) => [...groups.values()].map((g) => g.shards));
    const estimate = await globalThis.navigator?.storage?.estimate?.().catch(() => undefined);
    return { models: sumSizes(shards), origin: estimate?.usage, quota: estimate?.quota };
  }

  /** Asks the browser not to evict this origin. Call it from a click: Firefox asks the person. */
  async persist(): Promise<boolean> {
    return (await globalThis.navigator?.storage?.persist?.().catch(() => false)) ?? false;
  }

  /** Says why nothing is kept any more; once. */
  #disable(notice: string): void {
    if (this.#available) this.#onNotice(notice);
    this.#available = false;
  }

  /**
   * Runs an operation of the store: again after a passing fault, again after making room; undefined
   * where it fails for good.
   */
  protected async attempt<T>(
    operation: () => Promise<T>,
    options: { makeRoomFor?: string } = {},
  ): Promise<T | undefined> {
    for (let tries = 1; this.#available; tries++) {
      let kind: FailureKind;
      try {
        return await operation();
      } catch (error) {
        kind = failureKind(error);
        if (kind === 'quota' && options.makeRoomFor !== undefined) {
          // Each round deletes a model, so this ends.
          if (await this.#evict(options.makeRoomFor)) continue;
          this.#disable('The browser gives no more room: the model is not kept on this device.');
        } else if (kind === 'unreadable') {
          if (options.makeRoomFor === undefined || this.asBuffers) return undefined;
          this.asBuffers = true;
        } else if (kind === 'unavailable') {
          this.#disable(`The browser keeps nothing here: ${messageOf(error)}.`);
        } else if (tries >= TRIES) {
          this.#disable(
            `The browser's storage fails: ${messageOf(error)}. Models are not kept in this session; ` +
              'if it happens again, clear the data of this site.',
          );
        } else {
          // WebKit's private windows refuse Blobs, and do not say that this is why.
          if (options.makeRoomFor !== undefined && tries === TRIES - 1) this.asBuffers = true;
          await new Promise((resolve) => setTimeout(resolve, this.#backOff * tries));
        }
      }
    }
    return undefined;
  }

  /** Deletes the model that was used least recently, other than `keep`. */
  async #evict(keep: string): Promise<boolean> {
    try {
      const others = (await this.#readRecords()).filter(({ key }) => key !== keep);
      const oldest = others.sort((a, b) => a.used - b.used)[0];
      return oldest !== undefined && (await this.#remove(oldest.key));
    } catch {
      return false;
    }
  }

  async #records(): Promise<ModelRecord[]> {
    return (await this.attempt(() => this.#readRecords())) ?? [];
  }

  async #readRecords(): Promise<ModelRecord[]> {
    const records: ModelRecord[] = [];
    for (const key of await storedKeys(this.store))
      if (keyRest(key, 'model') !== undefined) {
        const record = asModelRecord(await get(key, this.store));
        if (record) records.push(record);
      }
    return records;
  }

  /** One transaction, so that a shard another tab is just adding is seen with its record. */
  #remove(key: string): Promise<boolean> {
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

function sumSizes(shards: readonly Group['shards'][]): number {
  const distinct = new Map(shards.flatMap((map) => [...map]));
  return [...distinct.values()].reduce((sum, { size }) => sum + size, 0);
}

function messageOf(error: unknown): string {
  const { name, message } = error as Partial<DOMException>;
  return message || name || 'it gave no reason';
}
