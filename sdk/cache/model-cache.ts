import { del, get, keys as storedKeys, promisifyRequest, set } from 'idb-keyval';
import { failureKind } from './failure.ts';
import { ModelStorage, TRIES } from './model-storage.ts';
import { asModelRecord, keyRest, keys, type ModelRecord } from './record.ts';
import type { FullShard } from './shard-writer.ts';

/** The models in IndexedDB as loads see them: records, shards and texts. */
export class ModelCache extends ModelStorage {
  /** Safari has lost Blobs in several releases; there shards are kept as buffers. */
  #asBuffers = false;

  async record(key: string): Promise<ModelRecord | undefined> {
    return asModelRecord(await this.attempt(() => get(keys.model(key), this.store)));
  }

  /** Hashes of all shards that are stored. */
  async shardKeys(): Promise<ReadonlySet<string>> {
    const all = (await this.attempt(() => storedKeys(this.store))) ?? [];
    return new Set(all.flatMap((key) => keyRest(key, 'shard') ?? []));
  }

  /** A shard's bytes, unverified; undefined where it is missing or cannot be read. */
  async readShard(hash: string): Promise<Uint8Array<ArrayBuffer> | undefined> {
    return this.attempt(async () => {
      const value: unknown = await get(keys.shard(hash), this.store);
      if (value instanceof Blob) return new Uint8Array(await value.arrayBuffer());
      return value instanceof ArrayBuffer ? new Uint8Array(value) : undefined;
    });
  }

  async dropShard(hash: string): Promise<void> {
    await this.attempt(() => del(keys.shard(hash), this.store));
  }

  /** Stores a shard and what it adds to a model's record, both or neither. */
  async commit(
    model: { key: string; name: string },
    group: string,
    shard: FullShard,
  ): Promise<void> {
    const { hash, checksum, blob } = shard;
    const put = async (): Promise<boolean> => {
      const value = this.#asBuffers ? await blob.arrayBuffer() : blob;
      return this.store('readwrite', async (store) => {
        const found = asModelRecord(
          await promisifyRequest<unknown>(store.get(keys.model(model.key))),
        );
        const used = Date.now();
        const record = found
          ? { ...found, used }
          : { ...model, created: used, used, groups: new Map() };
        let { shards, items } = record.groups.get(group) ?? { shards: new Map(), items: new Map() };
        shards = new Map(shards).set(hash, { size: blob.size, checksum });
        items = new Map([...items, ...shard.items]);
        record.groups.set(group, { shards, items });
        store.put(value, keys.shard(hash));
        store.put(record, keys.model(model.key));
        await promisifyRequest(store.transaction);
        return true;
      });
    };
    await this.#write(model.key, put);
  }

  async touch(key: string): Promise<void> {
    await this.attempt(() =>
      this.store('readwrite', async (store) => {
        const record = asModelRecord(await promisifyRequest<unknown>(store.get(keys.model(key))));
        if (record) store.put({ ...record, used: Date.now() }, keys.model(key));
        await promisifyRequest(store.transaction);
      }),
    );
  }

  /** A small text kept with a model; null where it is known not to exist. */
  async text(key: string, path: string): Promise<string | null | undefined> {
    const value: unknown = await this.attempt(() => get(keys.text(key, path), this.store));
    return typeof value === 'string' || value === null ? value : undefined;
  }

  async setText(key: string, path: string, value: string | null): Promise<void> {
    await this.#write(key, () => set(keys.text(key, path), value, this.store));
  }

  /** As {@link attempt}, for what belongs to `key`: also after making room, and with buffers for Blobs. */
  async #write(key: string, operation: () => Promise<unknown>): Promise<void> {
    let faults = 0;
    const persist = async (): Promise<unknown> => {
      try {
        return await operation();
      } catch (error) {
        const kind = failureKind(error);
        if (kind === 'quota') {
          // Each round deletes a model, so this ends.
          if (await this.#evict(key)) return persist();
          return this.disable('The browser gives no more room: the model is not kept on this device.'); // prettier-ignore
        }
        // WebKit's private windows refuse Blobs, and do not say that this is why.
        const refused = kind === 'unreadable' || (kind === 'transient' && ++faults === TRIES - 1);
        if (refused && !this.#asBuffers) {
          this.#asBuffers = true;
          if (kind === 'unreadable') return persist();
        }
        throw error;
      }
    };
    await this.attempt(persist);
  }

  /** Deletes the model that was used least recently, other than `keep`. */
  async #evict(keep: string): Promise<boolean> {
    try {
      const others = (await this.readRecords()).filter(({ key }) => key !== keep);
      const oldest = others.sort((a, b) => a.used - b.used)[0];
      return oldest !== undefined && (await this.remove(oldest.key));
    } catch {
      return false;
    }
  }
}
