import assert from 'node:assert/strict';
import { test } from 'node:test';
import { randomInts } from '../unit/weights-helpers.ts';
import { load, session, shardKeys } from './cache-session.ts';
import { FakeIndexedDB, type Fault } from './fake-indexeddb.ts';

const FAULTS: Fault[] = ['throw', 'error', 'null', 'quota'];

test('random operations agree with a model in memory', async () => {
  for (let seed = 1; seed <= 20; seed++) {
    const next = randomInts(seed);
    const db = new FakeIndexedDB();
    const complete = new Set<string>();
    let it = session(db);
    for (let step = 0; step < 15; step++) {
      const key = 'abc'[next() % 3];
      const version = key.charCodeAt(0);
      switch (next() % 6) {
        case 0:
          it = session(db);
          break;
        case 1:
          await it.cache.delete(key);
          complete.delete(key);
          break;
        case 2:
          await load({ ...it, asked: [] }, { key, version, breakAfter: next() % 9 }).catch(
            () => {},
          );
          break;
        case 3: {
          const shards = shardKeys(db);
          if (shards.length === 0) break;
          db.data.delete(shards[next() % shards.length]);
          complete.clear();
          break;
        }
        case 4:
          db.failAt = db.operations + (next() % 30);
          db.fault = FAULTS[next() % FAULTS.length];
          break;
        default: {
          const asked: string[] = [];
          await load({ ...it, asked }, { key, version });
          if (complete.has(key) && db.failAt > db.operations) assert.deepEqual(asked, []);
          if (it.cache.available && db.failAt > db.operations) complete.add(key);
        }
      }
      if (db.failAt <= db.operations) {
        db.failAt = Infinity;
        complete.clear();
        it = session(db);
      }
    }
  }
});
