import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SHARD_BYTES } from './model.ts';
import { importModel, Profile, until } from './profile.ts';
import type { ImportReport } from './protocol.ts';
import { setUp } from './setup.ts';

const KILLS = 21;
const pause = (milliseconds: number): Promise<void> =>
  new Promise((done) => setTimeout(done, milliseconds));

const { server, site, model } = await setUp();

test(`${KILLS} browsers killed in mid-import: what was stored stays, is right, and is not fetched again`, async () => {
  const request = model.request(server);
  let profile = new Profile(site.origin);
  let [kept, again, requests, finished] = [0, 0, 0, 0];
  const began = performance.now();
  for (let kill = 0; kill < KILLS; kill++) {
    const page = await profile.start();
    server.pace = 8192;
    server.answers.length = 0;
    // Moments spread over what an import fetches, and so over its commits.
    const moment = ((kill * 0.382) % 1) * 0.45 * model.file.length;
    let report: ImportReport | undefined;
    let failure: unknown;
    importModel(page, request).then(
      (it) => (report = it),
      (error: unknown) => (failure = error),
    );
    const names = (await until(page, 'stored'))!;
    while (server.sent < moment && !report && !failure) await pause(2);
    await pause((kill * 7) % 30);
    assert.equal(failure, undefined);
    await profile.kill();
    kept = Math.max(kept, names.length);
    again = Math.max(again, model.fetchedAgain(server, names));
    requests += server.answers.length;
    if (!report) continue;
    // It was quicker than the kill: that was no kill in mid-import.
    model.check(report);
    finished++;
    kill--;
    profile.clear();
    profile = new Profile(site.origin);
    assert.ok(finished < KILLS, 'imports end before they can be killed');
  }
  server.pace = Infinity;
  server.answers.length = 0;
  const page = await profile.start();
  const last = await importModel(page, request);
  model.check(last);
  assert.deepEqual(last.notices, []);
  again = Math.max(again, model.fetchedAgain(server, last.stored));
  server.answers.length = 0;
  const second = await importModel(page, request);
  model.check(second);
  assert.deepEqual([second.stored.length, server.answers.length], [Object.keys(last.hashes).length, 0]); // prettier-ignore
  await profile.stop();
  profile.clear();
  const seconds = (performance.now() - began) / 1000;
  console.log(
    `${KILLS} kills in ${seconds.toFixed(1)} s, ${finished} imports finished between them; at most ${kept} tensors found stored; ` +
      `${requests} requests; at most ${again} bytes of stored tensors came again`,
  );
  assert.ok(kept > 20, 'the kills came between commits');
  assert.ok(again <= 4 * SHARD_BYTES, `${again} bytes`);
});
