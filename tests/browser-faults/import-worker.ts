// Imports a weight file as the SDK's worker does, and tells what came: hashes, notices, memory.
import { CachedModel, ModelCache, modelStore, sha256, type Item } from '../../sdk/cache/index.ts';
import type { ParameterTable } from '../../sdk/weights/check.ts';
import { packParameters } from '../../sdk/weights/importer.ts';
import { openTensors } from '../../sdk/weights/open.ts';
import type { TensorReader } from '../../sdk/weights/tensor.ts';
import { UrlSource } from '../../sdk/weights/url.ts';
import type { ImportReport, ImportRequest } from './protocol.ts';
import { formats } from '../support/formats.ts';

const KIND = { 1: 'vector', 2: 'matrix' } as const;

async function run({ url, key, shardBytes }: ImportRequest): Promise<ImportReport> {
  const began = performance.now();
  const notices: string[] = [];
  const cache = new ModelCache(modelStore(), { onNotice: (n) => notices.push(n), backOff: 20 });
  const model = new CachedModel(cache, { key, name: url }, { shardBytes });
  let opened: Promise<TensorReader> | undefined;
  const reader = (): Promise<TensorReader> =>
    (opened ??= openTensors(new UrlSource(new URL(url), { backOff: 20 }), formats));
  const table: ParameterTable = new Map(
    JSON.parse(
      (await model.text('table.json', async () => {
        const it = await reader();
        const entries = [...it.names()].map((name) => {
          const { shape } = it.info(name)!;
          return [name, { shape, kind: KIND[Math.min(shape.length, 2) as 1 | 2] }];
        });
        return JSON.stringify(entries);
      }))!,
    ) as [string, { shape: number[]; kind: 'matrix' | 'vector' }][],
  );
  const record = await cache.record(key);
  const shards = await cache.shardKeys();
  const stored = [...(record?.groups.get('f16')?.items ?? [])]
    .filter(([, { blocks }]) => blocks.flat().every(({ shard }) => shards.has(shard)))
    .map(([name]) => name);
  postMessage({ stored });

  async function* load(missing: readonly string[]): AsyncIterable<Item> {
    for await (const { name, data } of packParameters(await reader(), table, 'f16', missing))
      yield { name, meta: null, blocks: [data] };
  }
  const hashes: Record<string, string> = {};
  for await (const { name, blocks } of model.items('f16', table.keys(), load)) {
    if (name in hashes) throw new Error(`${name} came twice`);
    hashes[name] = await sha256(new Uint8Array(blocks[0]));
  }
  return { hashes, stored, notices, milliseconds: performance.now() - began };
}

onmessage = ({ data }: MessageEvent<ImportRequest>) => {
  run(data).then(
    (report) => postMessage({ report }),
    (error: unknown) => postMessage({ error: String((error as Error).stack ?? error) }),
  );
};
