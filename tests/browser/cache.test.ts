import {
  CachedModel,
  ModelCache,
  ModelList,
  modelStore,
  type Item,
} from '../../sdk/cache/index.ts';
import { equal, ok } from './assert.ts';

// The cache over a real IndexedDB with real Blobs; its faults are tested in tests/faults.
const NAME = 'stable-diffusion-web/test';
const SIZES = [30_000, 70_001, 5, 0, 120_000];
const names = SIZES.map((_, i) => `tensor.${i}`);
const bytesOf = (i: number): Uint8Array => new Uint8Array(SIZES[i]).map((_, at) => at * 31 + i);

/** Loads the model as an engine does; gives how many items its source was asked for. */
async function load(): Promise<number> {
  const notices: string[] = [];
  const cache = new ModelCache(modelStore({ name: NAME }), { onNotice: (n) => notices.push(n) });
  const model = new CachedModel(cache, { key: 'model', name: 'it' }, { shardBytes: 65_536 });
  let asked = 0;
  async function* source(missing: readonly string[]): AsyncIterable<Item> {
    for (const name of missing) {
      asked++;
      yield { name, meta: { name }, blocks: [bytesOf(names.indexOf(name))] };
    }
  }
  let seen = 0;
  for await (const { name, blocks } of model.items('unet', names, source)) {
    const wanted = bytesOf(names.indexOf(name));
    equal(blocks[0].length, wanted.length);
    ok(
      blocks[0].every((byte, i) => byte === wanted[i]),
      `${name} is right`,
    );
    seen++;
  }
  equal(seen, names.length);
  equal(notices.join(), '');
  return asked;
}

describe('the cache in this browser', () => {
  after(() => void indexedDB.deleteDatabase(NAME));

  it('keeps a model, gives it back without asking, mends it and deletes it', async () => {
    equal(await load(), names.length);
    equal(await load(), 0);

    const store = modelStore({ name: NAME });
    const hash = await store('readonly', async (objects) => {
      const request = objects.getAllKeys();
      const all = await new Promise<IDBValidKey[]>((resolve) => {
        request.onsuccess = () => resolve(request.result);
      });
      return all.find((key) => String(key).startsWith('shard/'))!;
    });
    await store('readwrite', (objects) => void objects.put(new Blob(['damaged']), hash));
    const again = await load();
    ok(again > 0 && again < names.length, 'only the damaged shard was asked for');
    equal(await load(), 0);

    const models = new ModelList(store);
    equal((await models.list()).length, 1);
    equal(await models.delete('model'), true);
    equal((await models.list()).length, 0);
  });
});
