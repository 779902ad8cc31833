import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { VERSION } from '../../sdk/version.ts';
import { formatsAt } from '../../sdk/worker/formats.ts';
import { fails } from './weights-helpers.ts';

// How the worker gets dist/formats.js: modules of a few letters stand for it.

const folder = mkdtempSync(join(tmpdir(), 'sd-formats-'));
after(() => rmSync(folder, { recursive: true }));
const write = (name: string, text: string): string => {
  const path = join(folder, name);
  writeFileSync(path, text);
  return pathToFileURL(path).href;
};
const leaves = (version: string): string =>
  `globalThis[Symbol.for('stable-diffusion-web/formats')] = { VERSION: '${version}' };`;
const SOUND = leaves(VERSION);

test('it is imported when it is asked for, and once', async () => {
  const counted = `${SOUND} globalThis.imported = (globalThis.imported ?? 0) + 1;`;
  const count = () => (globalThis as { imported?: number }).imported;
  const load = formatsAt(write('counted.mjs', counted));
  await new Promise((done) => setTimeout(done, 10));
  assert.equal(count(), undefined);
  const [one, two] = await Promise.all([load(), load()]);
  assert.equal(await load(), one);
  assert.equal(one, two);
  assert.equal(count(), 1);
});

test('a failure says what to do, and the next call tries again', async () => {
  const url = pathToFileURL(join(folder, 'late.mjs')).href;
  const load = formatsAt(url);
  for (let i = 0; i < 2; i++)
    await assert.rejects(
      load(),
      fails('NETWORK', /late\.mjs could not be imported.*next to the SDK's script.*script-src/),
    );
  write('late.mjs', SOUND);
  assert.equal((await load()).VERSION, VERSION);
});

test('one of another version is refused until it is replaced', async () => {
  const url = write('other.mjs', leaves('0.0.1'));
  const load = formatsAt(url);
  await assert.rejects(load(), fails('NETWORK', /is version 0\.0\.1: clear the cache/));
  write('other.mjs', SOUND);
  assert.equal((await load()).VERSION, VERSION);
});

test('an abort ends the wait at once, and the next call takes what has come', async () => {
  const load = formatsAt(write('slow.mjs', `await globalThis.gate; ${SOUND}`));
  let open = () => {};
  (globalThis as { gate?: Promise<void> }).gate = new Promise((done) => (open = done));
  const controller = new AbortController();
  const stopped = load(controller.signal);
  controller.abort();
  await assert.rejects(stopped, fails('ABORTED', /aborted/));
  await assert.rejects(load(controller.signal), fails('ABORTED', /aborted/));
  open();
  assert.equal((await load(new AbortController().signal)).VERSION, VERSION);
});
