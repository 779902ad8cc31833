import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isSDError, SDError } from '../../sdk/errors.ts';
import { locate } from '../../sdk/location.ts';
import { validateOptions, type GenerateOptions } from '../../sdk/options.ts';
import { parseParameters, readPngText, writePngText } from '../../sdk/parameters.ts';
import { MapFiles, UrlFiles } from '../../sdk/weights/files.ts';
import { RemoteWorker } from '../../sdk/worker/remote.ts';
import { spawnWorker } from '../../sdk/worker/spawn.ts';
import { FakeWorker } from './fake-worker.ts';
import type { Assets } from '../../sdk/worker/protocol.ts';

// What a stranger may send: a picture's texts, names of folders and files, addresses, messages.

const PNG = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGNgYGBgAAAABQABpfZFQAAAAABJRU5ErkJggg==',
  'base64',
);
const refused =
  (code: string, message = /./) =>
  (error: unknown) =>
    isSDError(error) && error.code === code && message.test(error.message);

/** The options that a page would take from a picture, as far as they are let through. */
function throughPng(text: string): GenerateOptions | SDError {
  const read = readPngText(writePngText(PNG, text)).get('parameters');
  const options = parseParameters(read ?? '');
  try {
    validateOptions(options);
    return options;
  } catch (error) {
    assert.ok(error instanceof SDError, String(error));
    return error;
  }
}

test('a picture’s text: markup stays text', () => {
  const prompt = '<img src=x onerror="alert(1)"><script>alert(2)</script>';
  const options = throughPng(
    `${prompt}\nNegative prompt: </textarea><b>\nSteps: 5, Seed: 1, Eta: 0`,
  );
  assert.deepEqual(options, { ...options, prompt, negativePrompt: '</textarea><b>', steps: 5 });
});

test('a picture’s text reaches no prototype', () => {
  const hostile = [
    'a lake\nSteps: 5, Seed: 1, Eta: 0, __proto__: {"polluted":1}, constructor: 1, toString: 2',
    'a lake\nSteps: 5, Seed: 1, Eta: 0, Scheduler options: "{\\"__proto__\\":{\\"polluted\\":1}}"',
    'a lake\nSteps: 5, Seed: 1, Eta: 0, Scheduler options: "{\\"constructor\\":{\\"prototype\\":{\\"polluted\\":1}}}"',
    'a lake\nSteps: 5, Seed: 1, Eta: 0, Sampler: __proto__',
    'a lake\nSteps: 5, Seed: 1, Eta: 0, Sampler: constructor, Schedule type: toString',
  ];
  for (const text of hostile) {
    throughPng(text);
    assert.equal(({} as { polluted?: number }).polluted, undefined);
    assert.equal(typeof Object.prototype.toString, 'function');
  }
});

test('a picture’s text asks for no more than a person could', () => {
  const numbers = ['1e9', '-1', '0', '1e999', 'NaN', '9007199254740993', '0x7fffffff', '1.5'];
  for (const name of ['Steps', 'Batch size', 'Clip skip', 'CFG scale', 'Eta', 'Seed'])
    for (const value of numbers) {
      const options = throughPng(`a\nSampler: Euler, One generator: True, ${name}: ${value}`);
      if (options instanceof SDError) continue;
      assert.ok((options.steps ?? 0) <= 1000 && (options.count ?? 1) <= 64, `${name}: ${value}`);
    }
  for (const size of ['99999x99999', '0x0', '64x99999'])
    assert.ok(throughPng(`a\nSteps: 5, Seed: 1, Size: ${size}`) instanceof SDError, size);
});

test('a picture’s text of a mebibyte of brackets and quotes is read at once', () => {
  for (const piece of ['(', '[a:', '"', ': ,', '\n', '\\', '{"a":', 'Steps: 1, ']) {
    const begin = performance.now();
    throughPng(piece.repeat((1 << 20) / piece.length - 64));
    assert.ok(performance.now() - begin < 5000, JSON.stringify(piece));
  }
});

test('addresses that run code, read the disk or hold a password are refused', () => {
  const urls = ['javascript:alert(1)', 'JaVaScRiPt:alert(1)', 'file:///etc/passwd', 'vbscript:x'];
  for (const url of [...urls, 'ftp://host/', 'about:blank', 'chrome://settings'])
    assert.throws(() => locate(url), refused('INVALID_OPTION'), url);
  const url = 'https://me:secret@models.example/';
  assert.throws(
    () => locate(url),
    (error) => refused('INVALID_OPTION')(error) && !(error as Error).message.includes('secret'),
  );
});

test('no name in a model leads out of its folder', async () => {
  const folders = [
    new UrlFiles(new URL('https://models.example/a/')),
    new MapFiles(new Map([['model_index.json', new Blob(['{}'])]])),
  ];
  const names = ['../b', '..', 'a/../../b', '/b', '//evil.example/b', 'https://evil.example/b'];
  names.push('..\\b', '%2e%2e/b', 'a?b', 'a#b', './b', '', 'javascript:alert(1)', 'a//b');
  for (const files of folders)
    for (const name of names)
      await assert.rejects(files.open(name), refused('INVALID_FILE', /no path inside/), name);
});

test('a picked folder with a hostile name is only a name', async () => {
  const name = '<img src=x onerror=alert(1)>';
  for (const folder of [name, '__proto__', 'constructor', '..']) {
    const files = MapFiles.fromPaths([
      [`${folder}/model_index.json`, new Blob(['{}'])],
      [`${folder}/unet/config.json`, new Blob(['{"a":1}'])],
    ]);
    assert.equal(await files.has('unet/config.json'), true);
    assert.equal(await files.has('constructor'), false);
    assert.equal(await files.has('__proto__'), false);
  }
});

const JUNK: unknown[] = [null, undefined, 0, '', '<b>', [], {}, { type: 'step' }, { sd: 'locked' }];
JUNK.push({ sd: 'ready' }, { sd: 'ready', version: '<b>' }, { type: 'end' }, { id: 1 });
JUNK.push({ id: '__proto__', type: 'HANDLER', name: 'throw', value: {} }, { sd: 'connect' });

test('a worker of another version, or that says nothing sensible, does not get in', async () => {
  const other = new EventTarget() as EventTarget & Partial<Worker>;
  let stopped = false;
  other.terminate = () => void (stopped = true);
  other.postMessage = () => {
    for (const data of JUNK) other.dispatchEvent!(new MessageEvent('message', { data }));
  };
  await assert.rejects(spawnWorker(other as Worker), refused('WORKER_FAILED', /clear the cache/));
  assert.ok(stopped);
});

test('junk between the page and its worker breaks nothing', async () => {
  const worker = new FakeWorker();
  const remote = new RemoteWorker(
    { worker: worker as unknown as Worker, another: undefined },
    {} as Assets,
  );
  for (const data of JUNK) {
    worker.postMessage(data);
    worker.dispatchEvent(new MessageEvent('message', { data }));
  }
  const request = {} as Parameters<typeof remote.call<'load'>>[1];
  const info = await remote.call('load', request).result;
  assert.equal(info.device, 'fake');
  remote.end(new SDError('ABORTED', 'done'));
});
