// Quota, data cleared in mid-run, no network, and a tab that crashes while another waits for it.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import type { Page } from 'playwright-core';
import { Profile, draw, importModel, until } from './profile.ts';
import { farthest, picture, setUp } from './setup.ts';

const { server, site, model } = await setUp();
const request = model.request(server);
let profile: Profile;
let page: Page;
beforeEach(async () => {
  profile = new Profile(site.origin);
  page = await profile.start();
});
afterEach(async () => {
  await profile.stop();
  profile.clear();
});

const pause = (milliseconds: number): Promise<void> =>
  new Promise((done) => setTimeout(done, milliseconds));
/** Waits until the server has given so much of the model. */
async function given(share: number): Promise<void> {
  while (server.sent < share * model.file.length) await pause(2);
}
async function setQuota(bytes: number | undefined): Promise<void> {
  const devtools = await profile.devtools(page);
  await devtools.send('Storage.overrideQuotaForOrigin', { origin: site.origin, quotaSize: bytes });
}
/** Workers hold locks of another kind, by which the page learns of their death. */
const isModelLock = ({ name }: LockInfo): boolean =>
  /^stable-diffusion-web\/(?!worker)/.test(name!);
/** A run from start to end that needs no server. */
async function assertNoRequests(key?: string): Promise<void> {
  server.answers.length = 0;
  model.check(await importModel(page, model.request(server, key)));
  assert.deepEqual(server.answers, []);
}

test('quota: a model that does not fit is used all the same, and kept once there is room', async () => {
  await setQuota(2.5e6);
  const first = await importModel(page, request);
  model.check(first);
  assert.match(first.notices.join(), /no more room/);
  await setQuota(1e9);
  server.answers.length = 0;
  const second = await importModel(page, request);
  model.check(second);
  assert.deepEqual(second.notices, []);
  assert.ok(second.stored.length > 3, `${second.stored.length} tensors were stored`);
  const again = model.fetchedAgain(server, second.stored);
  console.log(`quota: ${second.stored.length} tensors stored under it; ${server.sent} bytes in the second run, ${again} of them of stored tensors`); // prettier-ignore
  assert.ok(again < 2.5e6, `${again} bytes`);
  await assertNoRequests();
});

test('quota: the model that was used least recently makes room, others stay', async () => {
  await setQuota(1.4e7);
  for (const key of ['old', 'new'])
    assert.deepEqual((await importModel(page, model.request(server, key))).notices, []);
  // Another file: shards of the same bytes would be shared.
  const { TestModel } = await import('./model.ts');
  const other = await TestModel.make(2);
  server.files.set('other.safetensors', other.file);
  await setQuota(1.1e7);
  const third = await importModel(page, { ...request, url: server.url('other.safetensors'), key: 'third' }); // prettier-ignore
  other.check(third);
  assert.deepEqual(third.notices, []);
  server.answers.length = 0;
  const fourth = await importModel(page, { ...request, url: server.url('other.safetensors'), key: 'third' }); // prettier-ignore
  other.check(fourth);
  assert.deepEqual(server.answers, []);
});

test('quota: a picture is drawn where nothing can be kept', async () => {
  await setQuota(1);
  for (let run = 0; run < 2; run++) {
    const { rgb, notices } = await draw(page, server.url('tiny/'));
    assert.ok(farthest(rgb, picture) <= 1);
    assert.match(notices.join(), /no more room|keeps nothing|storage fails/);
  }
  await setQuota(1e9);
  await draw(page, server.url('tiny/'));
  server.answers.length = 0;
  assert.ok(farthest((await draw(page, server.url('tiny/'))).rgb, picture) <= 1);
  assert.deepEqual(server.answers, []);
});

test('a tab that crashes while it imports lets the one that waits go on where it was', async () => {
  server.pace = 2048;
  const other = await profile.page();
  importModel(page, request).catch(() => undefined);
  await given(0.3);
  const waiting = importModel(other, request);
  const locks = async (): Promise<string> => {
    const { held = [], pending = [] } = await other.evaluate(() => navigator.locks.query());
    const counts = [held, pending].map((list) => list.filter(isModelLock).length);
    return JSON.stringify(counts);
  };
  while ((await locks()) !== '[1,1]') await pause(10);
  // It waits for the first and fetches nothing itself.
  const requests = server.answers.length;
  await pause(200);
  assert.equal(server.answers.length, requests);

  const devtools = await profile.devtools(page);
  const crashed = new Promise((done) => page.once('crash', done));
  devtools.send('Page.crash').catch(() => {});
  await crashed;
  const began = performance.now();
  while ((await locks()) !== '[1,0]') await pause(5);
  const handed = performance.now() - began;
  const before = server.sent;
  server.pace = Infinity;
  const report = await waiting;
  model.check(report);
  const rest = server.sent - before;
  console.log(`two tabs: the lock passed ${Math.round(handed)} ms after the crash; ${before} bytes before it, ${rest} after`); // prettier-ignore
  assert.ok(rest < 0.9 * model.file.length, 'what the first had stored was not fetched again');
  page = other;
  await assertNoRequests();
});

test('two tabs at once fetch the model once', async () => {
  server.pace = 8192;
  const other = await profile.page();
  const reports = await Promise.all([importModel(page, request), importModel(other, request)]);
  reports.forEach((report) => model.check(report));
  console.log(`two tabs: ${server.sent} bytes for a file of ${model.file.length}`);
  assert.ok(server.sent < 1.4 * model.file.length, `${server.sent} bytes`);
});

test('site data cleared in mid-run: the run ends well, the next one too, the third needs nothing', async () => {
  server.pace = 4096;
  const running = importModel(page, request);
  for (const share of [0.3, 0.6]) {
    await given(share);
    const devtools = await profile.devtools(page);
    await devtools.send('Storage.clearDataForOrigin', {
      origin: site.origin,
      storageTypes: 'all',
    });
  }
  const report = await running;
  model.check(report);
  server.pace = Infinity;
  server.answers.length = 0;
  const second = await importModel(page, request);
  model.check(second);
  console.log(`cleared twice: notices: ${report.notices.join(' ') || 'none'}; ${second.stored.length} tensors stored, ${server.sent} bytes in the next run`); // prettier-ignore
  assert.deepEqual(second.notices, []);
  await assertNoRequests();
});

test('offline: a stored model needs no server, one that is not says so, and half of one is kept', async () => {
  model.check(await importModel(page, request));
  assert.ok(farthest((await draw(page, server.url('tiny/'))).rgb, picture) <= 1);
  await server.down();
  try {
    model.check(await importModel(page, request));
    assert.ok(farthest((await draw(page, server.url('tiny/'))).rgb, picture) <= 1);
    await assert.rejects(draw(page, server.url('elsewhere/')), /could not be read|NETWORK/);
  } finally {
    await server.up();
  }
  server.pace = 2048;
  const running = importModel(page, model.request(server, 'half')).catch((error: unknown) => error);
  await until(page, 'stored');
  server.answers.length = 0;
  await given(0.5);
  await server.down();
  assert.match(String(await running), /could not be read/);
  await server.up();
  server.pace = Infinity;
  server.answers.length = 0;
  const rest = await importModel(page, model.request(server, 'half'));
  model.check(rest);
  console.log(`offline in mid-import: ${rest.stored.length} tensors stored, ${server.sent} bytes fetched after it`); // prettier-ignore
  assert.ok(rest.stored.length > 3 && server.sent < 0.9 * model.file.length);
  await assertNoRequests('half');
});
