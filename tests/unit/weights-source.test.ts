import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { SafetensorsReader } from '../../sdk/weights/safetensors-reader.ts';
import {
  BlobSource,
  Cursor,
  MemorySource,
  readAll,
  type ByteSource,
} from '../../sdk/weights/source.ts';
import { UrlSource, type UrlOptions } from '../../sdk/weights/url.ts';
import { BadServer, type Behaviour } from '../faults/bad-server.ts';
import { f32, fails, randomInts, writeSafetensors } from './weights-helpers.ts';

const next = randomInts(3);
const file = Uint8Array.from({ length: 300_000 }, () => next());
let server: BadServer;
before(async () => {
  server = await BadServer.start();
});
after(() => server.stop());
beforeEach(() => {
  server.files.clear();
  server.files.set('file', file);
  server.requests.length = 0;
  server.script = [];
  server.otherwise = 'range';
  server.etag = undefined;
});

const open = (options: UrlOptions = {}): UrlSource =>
  new UrlSource(server.url('file'), { backOff: 1, stall: 200, ...options });
const whole = (source: ByteSource, signal?: AbortSignal): Promise<Uint8Array> =>
  readAll(source, 1e9, signal);

for (const [name, source] of [
  ['memory', (): ByteSource => new MemorySource(file)],
  ['a Blob', (): ByteSource => new BlobSource(new Blob([file]))],
  ['a URL', open],
] as const)
  test(`${name}: size, ranges, stream from the middle, reading past the end`, async () => {
    const it = source();
    assert.equal(await it.size(), file.length);
    assert.deepEqual(await it.read(1000, 1007), file.slice(1000, 1007));
    assert.deepEqual(await it.read(5, 5), new Uint8Array(0));
    assert.deepEqual(await whole(it), file);
    const tail: number[] = [];
    for await (const chunk of it.stream(file.length - 10)) tail.push(...chunk);
    assert.deepEqual(tail, [...file.slice(-10)]);
    await assert.rejects(it.read(0, file.length + 1), fails('INVALID_FILE', /ends after 300000/));
    await assert.rejects(whole(it, AbortSignal.abort()), fails('ABORTED', /aborted/));
    await assert.rejects(readAll(it, 10), fails('INVALID_FILE', /longer than 10 bytes/));
  });

test('a server without Range is read as a plain stream', async () => {
  server.otherwise = 'plain';
  const source = open();
  assert.deepEqual(await source.read(100_000, 100_010), file.slice(100_000, 100_010));
  assert.equal(source.seekable, false);
  assert.equal(await source.size(), file.length);
  assert.deepEqual(await whole(source), file);
});

test('a short file from a server without ranges and lengths, as one that compresses', async () => {
  let requests = 0;
  const fetch = async () => {
    requests++;
    return new Response(new Blob([file.slice(0, 500)]).stream());
  };
  const source = open({ fetch });
  assert.equal(await source.size(), undefined);
  assert.equal(requests, 1);
  assert.deepEqual(await whole(source), file.slice(0, 500));
});

test('a cut connection is taken up where it ended', async () => {
  server.script = ['cut', 'cut'];
  assert.deepEqual(await whole(open()), file);
  assert.deepEqual(
    server.requests.map(({ range }) => range),
    ['bytes=0-', 'bytes=150000-', 'bytes=225000-'],
  );
});

test('without Range a cut connection starts again and skips what is known', async () => {
  server.otherwise = 'plain';
  server.script = ['cut'];
  const source = open();
  // The first answer is a 206 that is cut; the next ones are plain.
  assert.deepEqual(await whole(source), file);
  assert.equal(server.requests.length, 2);
});

test('a chunked body that ends early and cleanly counts as cut', async () => {
  server.script = ['short'];
  assert.deepEqual(await whole(open()), file);
});

test('a stalled connection is dropped and taken up again', async () => {
  server.script = ['silent', 'stall'];
  assert.deepEqual(await whole(open({ stall: 50 })), file);
  assert.equal(server.requests.length, 3);
});

test('429 and 5xx are retried, and Retry-After is kept', async () => {
  server.script = [
    { status: 503 },
    { status: 429, headers: { 'Retry-After': '1' } },
    { status: 500 },
    { status: 502, headers: { 'Retry-After': new Date(Date.now() - 9e6).toUTCString() } },
  ];
  const begin = performance.now();
  assert.deepEqual(await whole(open()), file);
  assert.ok(performance.now() - begin >= 1000);
  assert.equal(server.requests.length, 5);
});

test('gives up after the tries it was given, and says so', async () => {
  server.otherwise = { status: 503 };
  await assert.rejects(whole(open({ attempts: 3 })), fails('NETWORK', /HTTP 503 \(3 tries\)/));
  assert.equal(server.requests.length, 3);
});

test('does not wait for hours', async () => {
  server.otherwise = { status: 429, headers: { 'Retry-After': '7200' } };
  await assert.rejects(whole(open()), fails('NETWORK', /asks to wait 7200 seconds/));
  assert.equal(server.requests.length, 1);
});

test('progress between failures renews the tries', async () => {
  server.script = Array.from({ length: 8 }, (): Behaviour => 'cut');
  assert.deepEqual(await whole(open({ attempts: 2 })), file);
});

const final: [string, Behaviour, Parameters<typeof fails>][] = [
  ['404', { status: 404 }, ['MISSING_FILE', /is not there/]],
  ['403', { status: 403 }, ['NETWORK', /Authorization/]],
  ['400', { status: 400 }, ['NETWORK', /HTTP 400/]],
  ['a web page', 'html', ['MISSING_FILE', /leads to a web page/]],
  ['a wrong range', 'wrong-206', ['NETWORK', /wrong range/]],
  ['the whole file as a range', 'plain-206', ['NETWORK', /wrong range/]],
  ['a range too long', 'long-206', ['NETWORK', /more bytes than were asked for/]],
];
for (const [what, behaviour, expected] of final)
  test(`refuses ${what} at once`, async () => {
    server.otherwise = behaviour;
    await assert.rejects(open().read(100, 200), fails(...expected));
    assert.equal(server.requests.length, 1);
  });

test('follows redirects', async () => {
  server.script = ['redirect'];
  assert.deepEqual(await open().read(7, 9), file.slice(7, 9));
});

test('an answer without Content-Range still tells the size', async () => {
  server.otherwise = 'no-content-range';
  const source = open();
  assert.deepEqual(await source.read(0, 8), file.slice(0, 8));
  assert.equal(await source.size(), file.length);
});

test('a file that changes between two requests is refused', async () => {
  server.etag = '"one"';
  const source = open();
  await source.read(0, 8);
  server.etag = '"two"';
  await assert.rejects(source.read(8, 16), fails('NETWORK', /changed while it was read/));

  server.etag = undefined;
  const other = open();
  await other.size();
  server.files.set('file', file.slice(1));
  await assert.rejects(other.read(70_000, 70_008), fails('NETWORK', /changed while it was read/));
});

test('an abort ends the wait for a retry and the request at once', async () => {
  for (const behaviour of [{ status: 503 }, 'silent', 'stall'] as const) {
    server.otherwise = behaviour;
    const controller = new AbortController();
    setTimeout(() => controller.abort(), 20);
    const begin = performance.now();
    await assert.rejects(
      whole(open({ backOff: 60_000, stall: 60_000 }), controller.signal),
      fails('ABORTED', /aborted/),
    );
    assert.ok(performance.now() - begin < 2000);
  }
});

test('an empty file is empty', async () => {
  server.files.set('file', new Uint8Array(0));
  assert.equal(await open().size(), 0);
  assert.equal((await whole(open())).length, 0);
});

test('a tensor file over a bad line comes whole', async () => {
  const values = Array.from({ length: 50_000 }, (_, i) => i);
  server.files.set(
    'file',
    writeSafetensors([
      ['a', f32(values, [50_000])],
      ['b', f32([1, 2], [2])],
    ]),
  );
  server.script = ['range', 'cut', 'cut', { status: 500 }, 'stall', 'short'];
  const reader = await SafetensorsReader.open(open());
  const names: string[] = [];
  for await (const { name, bytes } of reader.tensors()) {
    names.push(name);
    if (name === 'a') assert.deepEqual([...new Float32Array(bytes.buffer)], values);
  }
  assert.deepEqual(names, ['a', 'b']);
});

test('the cursor reads through small gaps, seeks over large ones and goes back', async () => {
  const big = new Uint8Array(4 * 1024 * 1024).map((_, i) => i * 7);
  const streams: [number, number | undefined][] = [];
  const source = {
    name: 'counted',
    seekable: true,
    size: async () => big.length,
    read: async (begin: number, end: number) => big.slice(begin, end),
    async *stream(begin = 0, end = big.length) {
      streams.push([begin, end]);
      for (let at = begin; at < end; at += 65_000)
        yield big.subarray(at, Math.min(at + 65_000, end));
    },
  } satisfies ByteSource;
  const pieces = [10, 500_000, 3_000_000].map((begin) => ({ begin, end: begin + 9 }));
  let cursor = new Cursor(source, pieces);
  for (const at of [10, 500_000, 3_000_000, 10])
    assert.deepEqual(await cursor.read(at, 9), big.slice(at, at + 9));
  const runs: [number, number][] = [
    [10, 500_009],
    [3_000_000, 3_000_009],
  ];
  assert.deepEqual(streams, [...runs, runs[0]]);
  await cursor.close();
  // Every new stream would start from the first byte there.
  streams.length = 0;
  cursor = new Cursor({ ...source, seekable: false }, pieces);
  for (const { begin } of pieces) await cursor.read(begin, 9);
  assert.deepEqual(streams, [[10, 3_000_009]]);
  await cursor.close();
});
