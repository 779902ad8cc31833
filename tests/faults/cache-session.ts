import assert from 'node:assert/strict';
import {
  CachedModel,
  ModelCache,
  ModelList,
  modelStore,
  type Item,
} from '../../sdk/cache/index.ts';
import { randomInts } from '../unit/weights-helpers.ts';
import type { FakeIndexedDB } from './fake-indexeddb.ts';

export const SHARD = 4096;
/** Sizes that fill shards, cross their borders, need several, and have none. */
export const SIZES = [100, 3000, 9000, 16, 0, 2500, 1, 4096, 700];

/** What a model's file holds; `version` makes other bytes of it. */
export function modelItems(version = 0): Item[] {
  const next = randomInts(version + 1);
  return SIZES.map((size, i) => ({
    name: `tensor.${i}`,
    meta: { shape: [size], dtype: 'f16' },
    blocks: [
      Uint8Array.from({ length: size }, () => next()),
      Uint8Array.from({ length: i % 3 === 0 ? 32 : 0 }, () => next()),
    ],
  }));
}
export const names = modelItems().map(({ name }) => name);

export interface Session {
  readonly cache: ModelCache;
  readonly notices: string[];
  /** Names the source was asked for. */
  readonly asked: string[];
}

export function session(db: FakeIndexedDB): Session {
  const notices: string[] = [];
  const store = modelStore({ indexedDB: db as unknown as IDBFactory, timeout: 60 });
  const cache = new ModelCache(store, { onNotice: (n) => notices.push(n), backOff: 1 });
  return { cache, notices, asked: [] };
}

/** The stored models as a page sees them. */
export const listOf = (db: FakeIndexedDB): ModelList =>
  new ModelList(modelStore({ indexedDB: db as unknown as IDBFactory }));

/** Loads the model as an engine does, and checks every byte that comes. */
export async function load(
  { cache, asked }: Session,
  options: { key?: string; version?: number; breakAfter?: number; signal?: AbortSignal } = {},
): Promise<void> {
  const { key = 'model', version = 0, breakAfter = Infinity, signal } = options;
  const expected = new Map(modelItems(version).map((item) => [item.name, item]));
  const model = new CachedModel(cache, { key, name: `https://example.org/${key}` }, { shardBytes: SHARD }); // prettier-ignore
  const seen = new Set<string>();
  async function* source(missing: readonly string[]): AsyncIterable<Item> {
    let count = 0;
    for (const item of expected.values())
      if (missing.includes(item.name)) {
        if (count++ >= breakAfter) throw new Error('the line broke');
        asked.push(item.name);
        yield item;
      }
  }
  for await (const item of model.items('unet:f16', names, source, { signal })) {
    const true_ = expected.get(item.name)!;
    assert.ok(!seen.has(item.name), `${item.name} came twice`);
    seen.add(item.name);
    assert.deepEqual(item.meta, true_.meta);
    assert.deepEqual(
      item.blocks.map((block) => [...block]),
      true_.blocks.map((block) => [...block]),
      item.name,
    );
    for (const block of item.blocks) if (block.length) assert.equal(block.byteOffset % 16, 0);
  }
  assert.deepEqual([...seen].sort(), [...names].sort());
}

export const shardKeys = (db: FakeIndexedDB): string[] =>
  [...db.data.keys()].filter((key) => key.startsWith('shard/'));

/** The promise that the store is complete: a fresh session loads all and asks for nothing. */
export async function assertComplete(db: FakeIndexedDB, version = 0): Promise<void> {
  const later = session(db);
  await load(later, { version });
  assert.deepEqual(later.asked, []);
  assert.deepEqual(later.notices, []);
}
