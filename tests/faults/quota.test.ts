import assert from 'node:assert/strict';
import { test } from 'node:test';
import { load, session } from './cache-session.ts';
import { FakeIndexedDB } from './fake-indexeddb.ts';

test('a refusal for want of room that passes costs no model', async () => {
  // The first model is untouched whichever operation of the second one is refused once.
  for (let n = 1; ; n++) {
    const db = new FakeIndexedDB();
    await load(session(db), { key: 'first' });
    const begin = db.operations;
    Object.assign(db, { failAt: begin + n, fault: 'quota' });
    const second = session(db);
    await load(second, { key: 'second', version: 1 });
    const reached = db.operations >= begin + n;
    db.failAt = Infinity;
    assert.deepEqual(second.notices, []);
    const first = session(db);
    await load(first, { key: 'first' });
    assert.deepEqual(first.asked, [], `operation ${n}`);
    if (!reached) break;
    assert.ok(n < 500, 'the loop ends');
  }
});
