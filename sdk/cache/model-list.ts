import { ModelStorage } from './model-storage.ts';
import type { Group, ModelRecord } from './record.ts';

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

/** The models in IndexedDB as people see them. */
export class ModelList extends ModelStorage {
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

  async #records(): Promise<ModelRecord[]> {
    return (await this.attempt(() => this.readRecords())) ?? [];
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
}

function sumSizes(shards: readonly Group['shards'][]): number {
  const distinct = new Map(shards.flatMap((map) => [...map]));
  return [...distinct.values()].reduce((sum, { size }) => sum + size, 0);
}
