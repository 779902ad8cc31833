import { del, get, keys as storedKeys, promisifyRequest, set } from 'idb-keyval';
import { ModelList } from './model-list.ts';
import { asModelRecord, keyRest, keys, type ModelRecord } from './record.ts';
import type { FullShard } from './shard-writer.ts';

/** The models in IndexedDB as loads see them: records, shards and texts. */
export class ModelCache extends ModelList {
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
      const value = this.asBuffers ? await blob.arrayBuffer() : blob;
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
    await this.attempt(put, { makeRoomFor: model.key });
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
    await this.attempt(() => set(keys.text(key, path), value, this.store), { makeRoomFor: key });
  }
}
