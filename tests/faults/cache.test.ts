import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { CachedModel, ModelCache, modelStore, type Item } from '../../sdk/cache/index.ts';
import { fails } from '../unit/weights-helpers.ts';
import {
  assertComplete,
  load,
  modelItems,
  names,
  session,
  SHARD,
  shardKeys,
  SIZES,
  listOf,
} from './cache-session.ts';
import { FakeIndexedDB, type Fault } from './fake-indexeddb.ts';

test('what was imported is never asked for again', async () => {
  const db = new FakeIndexedDB();
  const first = session(db);
  await load(first);
  assert.deepEqual(first.asked, names);
  await assertComplete(db);
  const sizes = shardKeys(db).map((key) => (db.data.get(key) as Blob).size);
  assert.ok(Math.max(...sizes) <= 2 * SHARD, sizes.join());
  assert.ok(sizes.filter((size) => size < SHARD / 2).length <= 1, 'only the last one is small');
  // Only what is larger than the largest shard is cut, since every load must join it again.
  const record = (await first.cache.record('model'))!;
  const cut = [...record.groups.get('unet:f16')!.items]
    .filter(([, { blocks }]) => new Set(blocks.flat().map(({ shard }) => shard)).size > 1)
    .map(([name]) => name);
  assert.deepEqual(
    cut,
    names.filter((_, i) => SIZES[i] > 2 * SHARD),
  );
  assert.ok(cut.length > 0);
});

test('texts are kept, and so is their absence', async () => {
  const db = new FakeIndexedDB();
  let asked = 0;
  const text = (path: string, value: string | undefined): Promise<string | undefined> =>
    new CachedModel(session(db).cache, { key: 'm', name: 'm' }).text(path, async () => {
      asked++;
      return value;
    });
  assert.equal(await text('unet/config.json', '{}'), '{}');
  assert.equal(await text('unet/config.json', 'other'), '{}');
  assert.equal(await text('added_tokens.json', undefined), undefined);
  assert.equal(await text('added_tokens.json', 'other'), undefined);
  assert.equal(asked, 2);
});

const FAULTS: Fault[] = ['throw', 'error', 'null', 'quota', 'hang', 'lost'];
for (const fault of FAULTS)
  test(`the N-th operation fails with "${fault}", for every N: nothing is wrong, the next run completes`, async () => {
    for (let n = 1; ; n++) {
      const db = new FakeIndexedDB();
      Object.assign(db, { failAt: n, fault });
      await load(session(db));
      const reached = db.operations >= n;
      db.failAt = Infinity;

      await load(session(db));
      await assertComplete(db);

      // The same again while reading what is complete.
      const begin = db.operations;
      db.failAt = begin + n;
      await load(session(db));
      const readReached = db.operations >= db.failAt;
      db.failAt = Infinity;
      await load(session(db));
      await assertComplete(db);
      if (!reached && !readReached) break;
      assert.ok(n < 500, 'the loop ends');
    }
  });

test('the tab dies at the N-th operation: what was stored is kept, and completed', async () => {
  for (let n = 1; ; n++) {
    const db = new FakeIndexedDB();
    Object.assign(db, { failAt: n, fault: 'hang' });
    // After the hang this session's storage is never answered again, as when its process is gone.
    const dead = session(db);
    await load(dead);
    if (db.operations < n) break;
    db.failAt = Infinity;
    const stored = shardKeys(db).length;
    const next = session(db);
    await load(next);
    if (stored > 0) assert.ok(next.asked.length <= names.length);
    await assertComplete(db);
  }
});

test('an interrupted import is taken up, and what was stored is not asked for again', async () => {
  const db = new FakeIndexedDB();
  const first = session(db);
  await assert.rejects(load(first, { breakAfter: 6 }), /the line broke/);
  const second = session(db);
  await load(second);
  // All but one small item that is compared with its source.
  const again = second.asked.filter((name) => first.asked.includes(name));
  assert.equal(again.length, 1);
  await assertComplete(db);
});

test('an abort keeps what has come', async () => {
  const db = new FakeIndexedDB();
  await load(session(db));
  await assert.rejects(
    load(session(db), { signal: AbortSignal.abort() }),
    fails('ABORTED', /aborted/),
  );
  await assertComplete(db);
});

test('a source that changed in mid-import is noticed; the next load takes all of the new one', async () => {
  const db = new FakeIndexedDB();
  await assert.rejects(load(session(db), { breakAfter: 6 }), /the line broke/);
  const model = new CachedModel(session(db).cache, { key: 'model', name: 'it' }, { shardBytes: SHARD }); // prettier-ignore
  async function* changed(missing: readonly string[]): AsyncIterable<Item> {
    for (const item of modelItems(1)) if (missing.includes(item.name)) yield item;
  }
  await assert.rejects(
    async () => {
      for await (const _ of model.items('unet:f16', names, changed)) void _;
    },
    fails('INTEGRITY', /not the same any more/),
  );
  await load(session(db), { version: 1 });
  await assertComplete(db, 1);
});

for (const [what, damage] of [
  ['flipped', async (blob: Blob) => flip(blob)],
  ['truncated', async (blob: Blob) => blob.slice(0, blob.size - 1)],
  ['empty', async () => new Blob([])],
  ['deleted', async () => undefined],
  ['no Blob any more', async () => 'text'],
] as const)
  test(`a shard that is ${what} on disk is fetched again, and only that one`, async () => {
    const db = new FakeIndexedDB();
    await load(session(db));
    for (const key of shardKeys(db)) {
      const damaged: unknown = await damage(db.data.get(key) as Blob);
      if (damaged === undefined) db.data.delete(key);
      else db.data.set(key, damaged);
      const next = session(db);
      await load(next);
      assert.ok(next.asked.length > 0 && next.asked.length < names.length, next.asked.join());
      assert.deepEqual(next.notices, []);
      await assertComplete(db);
    }
  });

test('one handle loads again after another tab has deleted shards, or all of the model', async () => {
  const db = new FakeIndexedDB();
  await load(session(db));
  const { cache } = session(db);
  const model = new CachedModel(cache, { key: 'model', name: 'it' }, { shardBytes: SHARD });
  const again = async (): Promise<number> => {
    let asked = 0;
    async function* source(missing: readonly string[]): AsyncIterable<Item> {
      for (const item of modelItems())
        if (missing.includes(item.name)) {
          asked++;
          yield item;
        }
    }
    const seen = new Map<string, string>();
    for await (const { name, blocks } of model.items('unet:f16', names, source))
      seen.set(name, blocks.join());
    for (const { name, blocks } of modelItems()) assert.equal(seen.get(name), blocks.join(), name);
    return asked;
  };
  assert.equal(await again(), 0);
  db.data.delete(shardKeys(db)[1]);
  const some = await again();
  assert.ok(some > 0 && some < names.length, `${some} asked for`);
  await assertComplete(db);
  assert.equal(await again(), 0);
  await session(db).cache.delete('model');
  assert.equal(await again(), names.length);
  await assertComplete(db);
  assert.equal(await again(), 0);
});

test('a shard whose bytes cannot be read is fetched again', async () => {
  for (const name of ['NotReadableError', 'NotFoundError']) {
    const db = new FakeIndexedDB();
    await load(session(db));
    const [key] = shardKeys(db);
    db.failing = { pattern: new RegExp(`^get ${key}`), name };
    const next = session(db);
    await load(next);
    assert.ok(next.asked.length > 0 && next.asked.length < names.length);
    db.failing = undefined;
    await assertComplete(db);
  }
});

test('a database of our name without our store is made anew', async () => {
  const db = new FakeIndexedDB();
  db.hasStore = false;
  const first = session(db);
  await load(first);
  assert.deepEqual(first.asked, names);
  await assertComplete(db);
});

test('a damaged or foreign record is taken for none', async () => {
  for (const value of [
    7,
    null,
    {},
    { key: 'model', used: 1, groups: new Map([['unet:f16', {}]]) },
  ]) {
    const db = new FakeIndexedDB();
    await load(session(db));
    db.data.set('model/2/model', value);
    const next = session(db);
    await load(next);
    assert.deepEqual(next.asked, names);
    await assertComplete(db);
  }
});

test('where there is no room, models used longest ago go first, and then it runs without', async () => {
  const db = new FakeIndexedDB();
  for (const key of ['a', 'b', 'c']) {
    await load({ ...session(db), asked: [] }, { key, version: key.charCodeAt(0) });
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  await load({ ...session(db), asked: [] }, { key: 'a', version: 97 });
  db.quota = db.used() + 100;
  const fourth = session(db);
  await load(fourth, { key: 'd', version: 100 });
  assert.deepEqual((await listOf(db).list()).map(({ key }) => key).sort(), ['a', 'c', 'd']);
  assert.deepEqual(fourth.notices, []);

  db.quota = 5000;
  const fifth = session(db);
  await load(fifth, { key: 'e', version: 101 });
  assert.equal(fifth.notices.length, 1);
  assert.match(fifth.notices[0], /no more room/);
  assert.equal(fifth.cache.available, false);
  await load(fifth, { key: 'e', version: 101 });
});

test('where nothing can be stored it runs without, and says why once', async () => {
  for (const name of ['SecurityError', 'VersionError', 'UnknownError', 'QuotaExceededError']) {
    const db = new FakeIndexedDB();
    db.failing = { pattern: /^(open|put)/, name };
    const first = session(db);
    await load(first);
    await load(first);
    assert.equal(first.notices.length, 1, name);
    assert.deepEqual(await listOf(db).list(), []);
    db.failing = undefined;
    await load(session(db));
    await assertComplete(db);
  }
});

test('Blobs that cannot be written are kept as buffers', async () => {
  const db = new FakeIndexedDB();
  let blobs = true;
  const store = modelStore({ indexedDB: db as unknown as IDBFactory });
  const cache = new ModelCache((mode, callback) =>
    store(mode, (objects) => {
      const put = objects.put.bind(objects);
      objects.put = (value: unknown, key) => {
        if (value instanceof Blob) throw new DOMException('', 'DataCloneError');
        blobs = false;
        return put(value, key);
      };
      return callback(objects);
    }),
  );
  await load({ cache, notices: [], asked: [] });
  assert.equal(blobs, false);
  assert.ok(shardKeys(db).every((key) => db.data.get(key) instanceof ArrayBuffer));
  await assertComplete(db);
});

test('list, usage and delete; shards that two models share stay while one needs them', async () => {
  const db = new FakeIndexedDB();
  const it = session(db);
  await load(it, { key: 'one' });
  await load(it, { key: 'two' });
  await load(it, { key: 'three', version: 3 });
  await new CachedModel(it.cache, { key: 'one', name: '' }).text('config.json', async () => '{}');
  const list = await listOf(db).list();
  assert.deepEqual(list.map(({ key }) => key).sort(), ['one', 'three', 'two']);
  assert.equal(list[0].name, `https://example.org/${list[0].key}`);
  const size = SIZES.reduce((sum, n) => sum + n);
  for (const { bytes } of list) assert.ok(bytes >= size && bytes < size * 1.2);
  assert.equal((await listOf(db).usage()).models, db.used());

  assert.equal(await it.cache.delete('one'), true);
  assert.equal(await it.cache.delete('one'), false);
  assert.ok(![...db.data.keys()].some((key) => key.includes('/one')));
  const two = session(db);
  await load(two, { key: 'two' });
  assert.deepEqual(two.asked, []);
  await it.cache.delete('two');
  await it.cache.delete('three');
  assert.equal(db.data.size, 0);
});

test('records of a later version are left alone', async () => {
  const db = new FakeIndexedDB();
  db.data.set('model/3/x', { new: true });
  db.data.set('shard/2/x', new Blob(['new']));
  db.data.set('anything', 1);
  const it = session(db);
  await load(it);
  await listOf(db).clear();
  assert.deepEqual([...db.data.keys()].sort(), ['anything', 'model/3/x', 'shard/2/x']);
});

const realLocks = Object.getOwnPropertyDescriptor(globalThis, 'navigator');
afterEach(() => {
  if (realLocks) Object.defineProperty(globalThis, 'navigator', realLocks);
  else delete (globalThis as { navigator?: unknown }).navigator;
});

test('two tabs fetch a model once; a tab that dies lets the other go on', async () => {
  const queues = new Map<string, Promise<void>>();
  const locks = {
    async request(name: string, _: object, task: () => Promise<void>): Promise<void> {
      const before = queues.get(name) ?? Promise.resolve();
      const mine = before.then(task);
      queues.set(name, mine);
      await mine;
    },
  };
  Object.defineProperty(globalThis, 'navigator', { value: { locks }, configurable: true });
  const db = new FakeIndexedDB();
  const [a, b] = [session(db), session(db)];
  await Promise.all([load(a), load(b)]);
  assert.equal(a.asked.length + b.asked.length, names.length);

  const other = new FakeIndexedDB();
  const [c, d] = [session(other), session(other)];
  const [dies] = await Promise.allSettled([load(c, { breakAfter: 5 }), load(d)]);
  assert.equal(dies.status, 'rejected');
  await assertComplete(other);
});

async function flip(blob: Blob): Promise<Blob> {
  const bytes = new Uint8Array(await blob.arrayBuffer());
  bytes[bytes.length >> 1] ^= 4;
  return new Blob([bytes]);
}
