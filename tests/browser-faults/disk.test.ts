// Files of the browser's profile damaged between two runs, as disk cleaners, full disks, power cuts
// and failing drives damage them.
import assert from 'node:assert/strict';
import { readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { Profile, draw, importModel } from './profile.ts';
import { farthest, picture, setUp } from './setup.ts';

const { server, site, model } = await setUp();
const profile = new Profile(site.origin);
const request = model.request(server);
let restore: () => void;
let whole = 0;

before(async () => {
  const page = await profile.start();
  const first = await importModel(page, request);
  model.check(first);
  assert.deepEqual(first.notices, []);
  assert.ok(farthest((await draw(page, server.url('tiny/'))).rgb, picture) <= 1);
  await profile.stop();
  restore = profile.save();
  whole = server.sent;
});
after(() => profile.clear());

type Files = ReturnType<Profile['files']>;
const flip = ({ path }: Files[number], at: (size: number) => number): void => {
  const bytes = readFileSync(path);
  bytes[at(bytes.length)] ^= 0x10;
  writeFileSync(path, bytes);
};
const half = ({ path, size }: Files[number]): void => truncateSync(path, size >> 1);
const remove = ({ path }: Files[number]): void => rmSync(path);
/** Blobs of a size that shards have, the largest first. */
const blobs = (): Files =>
  profile
    .files('blob')
    .filter(({ size }) => size > 1000)
    .sort((a, b) => b.size - a.size);
const logs = (): Files =>
  profile.files('leveldb').filter(({ path, size }) => /\.(log|ldb)$/.test(path) && size > 0);
const named = (pattern: RegExp): Files =>
  profile.files('leveldb').filter(({ path }) => pattern.test(path));

/** Damage, and whether all that is stored is lost with it. */
const damages: readonly [string, () => void, 'some' | 'all' | 'none'][] = [
  ['one blob shorter by half', () => half(blobs()[0]), 'some'],
  ['one blob emptied', () => truncateSync(blobs()[1].path, 0), 'some'],
  ['one bit of a blob flipped', () => flip(blobs()[2], (size) => size >> 1), 'some'],
  ['the last bit of a blob flipped', () => flip(blobs()[0], (size) => size - 1), 'some'],
  ['a bit of every third blob flipped', () => blobs().forEach((blob, i) => i % 3 || flip(blob, () => i)), 'some'], // prettier-ignore
  ['one blob deleted', () => remove(blobs()[3]), 'some'],
  ['every blob deleted', () => blobs().forEach(remove), 'all'],
  ['a blob with the bytes of another', () => writeFileSync(blobs()[1].path, readFileSync(blobs()[2].path)), 'some'], // prettier-ignore
  ['the log of the index cut by 200 bytes', () => logs().forEach(({ path, size }) => truncateSync(path, size - 200)), 'none'], // prettier-ignore
  ['the log of the index cut by half', () => logs().forEach(half), 'some'],
  ['bits of the index flipped', () => logs().forEach((log) => [0.3, 0.5, 0.7].forEach((share) => flip(log, (size) => Math.floor(size * share)))), 'all'], // prettier-ignore
  ['the log of the index deleted', () => logs().forEach(remove), 'all'],
  ['the manifest filled with zeros', () => named(/MANIFEST/).forEach(({ path, size }) => writeFileSync(path, Buffer.alloc(size))), 'all'], // prettier-ignore
  ['CURRENT deleted', () => named(/CURRENT$/).forEach(remove), 'all'],
  ['the whole index deleted, its blobs left', () => named(/./).forEach(remove), 'all'],
];
for (const [what, damage, lost] of damages)
  test(`${what}: what is used is right, what is lost is fetched again, and kept`, async () => {
    restore();
    assert.ok(blobs().length > 12 && logs().length > 0, 'the files were found');
    damage();
    server.answers.length = 0;
    let page = await profile.start();
    const use = async (): Promise<{ milliseconds: number; notices: string[] }> => {
      const report = await importModel(page, request);
      model.check(report);
      const drawn = await draw(page, server.url('tiny/'));
      assert.ok(farthest(drawn.rgb, picture) <= 1);
      return { ...report, notices: [...report.notices, ...drawn.notices] };
    };
    try {
      const again = await use();
      const fetched = server.sent;
      // LevelDB writes on after the half of a record where a log was cut (`reuse_logs`, DBImpl::RecoverLogFile),
      // takes that for damage when it opens the database next, and Chromium then throws all of it away. It opens
      // it once nobody has used it for a while, or now.
      if (what.includes('index cut by')) {
        await profile.stop();
        page = await profile.start();
        await use();
      }
      server.answers.length = 0;
      const last = await use();
      console.log(
        `${what}: ${fetched} of ${whole} bytes fetched in ${Math.round(again.milliseconds)} ms, then ${server.answers.length} requests; ` +
          `notices: ${[...again.notices, ...last.notices].join(' ') || 'none'}`,
      );
      assert.equal(server.answers.length, 0, 'the run after that makes no request');
      if (lost === 'some') assert.ok(fetched < whole, `${fetched} bytes fetched`);
      if (lost === 'none') assert.ok(fetched < whole / 2, `${fetched} bytes fetched`);
    } finally {
      await profile.stop();
    }
  });
