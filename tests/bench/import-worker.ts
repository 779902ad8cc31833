/**
 * The worker of import.mjs: imports a single-file checkpoint as the SDK's worker does and throws the
 * weights away at the engine's door; reads it back; and copies and reads the same bytes plainly, to
 * compare with.
 */
import { CachedModel, ModelCache, modelStore } from '../../sdk/cache/index.ts';
import * as models from '../../sdk/models/index.ts';
import type { PartName } from '../../sdk/pipeline/model-source.ts';
import { checkpointModel } from '../../sdk/worker/checkpoint-model.ts';
import { importKey, openCheckpoint } from '../../sdk/worker/open-checkpoint.ts';
import { formats } from '../support/formats.ts';

interface Task {
  readonly task: 'import' | 'copy' | 'read';
  readonly url: string;
}

interface Report {
  readonly seconds: number;
  readonly bytes: number;
  readonly notices?: readonly string[];
}

onmessage = ({ data }: MessageEvent<Task>) => {
  const work = { import: importModel, copy: copyFile, read: readShards }[data.task];
  work(data.url).then(
    (report) => postMessage({ report }),
    (error: unknown) => postMessage({ error: error instanceof Error ? error.stack : error }),
  );
};

/** From the network where it is not stored, else from the cache; `bytes` are those of the weights as packed. */
async function importModel(url: string): Promise<Report> {
  const began = performance.now();
  const notices: string[] = [];
  const request = { model: { kind: 'url', url }, variant: undefined } as const;
  const cache = new ModelCache(modelStore(), { onNotice: (notice) => notices.push(notice) });
  const cached = new CachedModel(cache, await importKey(request));
  const checkpoint = await openCheckpoint(request, {
    formats,
    merges: new URL('/dist/clip-merges.txt', location.origin).href,
    remember: (path, load) => cached.text(path, load),
  });
  const tokenizer = await WebAssembly.compileStreaming(fetch('/build/wasm/tokenizer.wasm'));
  const source = checkpointModel(checkpoint, { tokenizer, formats, cached });
  await source.totalBytes();
  let bytes = 0;
  for (const part of ['text_encoder', 'unet', 'vae'] as const)
    for await (const { data } of source.weights(part, await paramsOf(source, part), 'f16'))
      bytes += data.byteLength;
  return { seconds: (performance.now() - began) / 1000, bytes, notices };
}

type Params = ReturnType<typeof models.traceUNet>['params'];
async function paramsOf(
  source: { config(part: PartName): Promise<unknown> },
  part: PartName,
): Promise<Params> {
  const config = await source.config(part);
  const picture = { batch: 1, height: 8, width: 8 };
  if (part === 'unet')
    return models.traceUNet(models.parseUNetConfig(config), { ...picture, tokens: 77 }).params;
  if (part === 'vae') {
    const vae = models.parseVaeConfig(config);
    return new Map([
      ...models.traceVaeEncoder(vae, picture).params,
      ...models.traceVaeDecoder(vae, picture).params,
    ]);
  }
  const shape = { batch: 1, tokens: 77, skip: 0, finalNorm: true };
  return models.traceClipText(models.parseClipTextConfig(config), shape).params;
}

const BLOB = 32 * 1024 * 1024;

/** The file as it is, in Blobs of the size of a shard: what the network and IndexedDB can do. */
async function copyFile(url: string): Promise<Report> {
  const began = performance.now();
  const store = modelStore({ name: 'copy' });
  const put = (blob: Blob, key: number): Promise<void> =>
    store(
      'readwrite',
      (objects) =>
        new Promise<void>((resolve, reject) => {
          objects.put(blob, key);
          objects.transaction.oncomplete = () => resolve();
          objects.transaction.onabort = () => reject(objects.transaction.error!);
        }),
    );
  const response = await fetch(url, { cache: 'no-store' });
  const reader = response.body!.getReader();
  let [bytes, used, count] = [0, 0, 0];
  const buffer = new Uint8Array(BLOB);
  let putting: Promise<void> = Promise.resolve();
  for (;;) {
    const { done, value } = await reader.read();
    for (let at = 0; value && at < value.length;) {
      const piece = value.subarray(at, at + BLOB - used);
      buffer.set(piece, used);
      used += piece.length;
      at += piece.length;
      if (used < BLOB) continue;
      await putting;
      putting = put(new Blob([buffer]), count++);
      bytes += used;
      used = 0;
    }
    if (done) break;
  }
  await putting;
  await put(new Blob([buffer.subarray(0, used)]), count);
  bytes += used;
  const seconds = (performance.now() - began) / 1000;
  indexedDB.deleteDatabase('copy');
  return { seconds, bytes };
}

/** Every shard, one after the other, unverified and unused. */
async function readShards(): Promise<Report> {
  const began = performance.now();
  const cache = new ModelCache(modelStore());
  let bytes = 0;
  for (const hash of await cache.shardKeys()) bytes += (await cache.readShard(hash))!.length;
  return { seconds: (performance.now() - began) / 1000, bytes };
}
