import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { after, beforeEach, test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { storedAs, type WeightDtype } from '../../sdk/backends/backend.ts';
import { CachedModel, ModelCache, modelStore } from '../../sdk/cache/index.ts';
import { isSDError } from '../../sdk/errors.ts';
import type { Param } from '../../sdk/graph/index.ts';
import {
  parseClipTextConfig,
  parseUNetConfig,
  parseVaeConfig,
  traceClipText,
  traceUNet,
  traceVaeDecoder,
  traceVaeEncoder,
} from '../../sdk/models/index.ts';
import type { PartName } from '../../sdk/pipeline/model-source.ts';
import { packTensor } from '../../sdk/weights/pack.ts';
import { checkpointModel, type CheckpointModel } from '../../sdk/worker/checkpoint-model.ts';
import { importKey, openCheckpoint } from '../../sdk/worker/open-checkpoint.ts';
import type { LoadRequest, ModelLocation } from '../../sdk/worker/protocol.ts';
import { toFloat32 } from '../../sdk/weights/dtype.ts';
import { MapFiles } from '../../sdk/weights/files.ts';
import { openDiffusersFolder } from '../../sdk/weights/folder.ts';
import type { Checkpoint } from '../../sdk/weights/checkpoint.ts';
import { isWeightDType, type TensorReader } from '../../sdk/weights/tensor.ts';
import { BadServer, type Behaviour } from './bad-server.ts';
import { FakeIndexedDB } from './fake-indexeddb.ts';
import { formats } from '../support/formats.ts';

const root = new URL('../fixtures/checkpoints/', import.meta.url);
const files = new Map<string, Uint8Array<ArrayBuffer>>();
for (const entry of readdirSync(root, { recursive: true }) as string[])
  if (entry.endsWith('.gz'))
    files.set(entry.slice(0, -3), new Uint8Array(gunzipSync(readFileSync(new URL(entry, root)))));

const server = await BadServer.start();
for (const [path, bytes] of files) server.files.set(path, bytes);
after(() => server.stop());
beforeEach(() => {
  server.script = [];
  server.otherwise = 'range';
  server.requests.length = 0;
});

type Request = Pick<LoadRequest, 'model' | 'variant' | 'weights' | 'parts'>;
const PARTS: PartName[] = ['text_encoder', 'unet', 'vae'];

/** Opens a model as the worker does, over a database that outlives it. */
async function open(
  db: FakeIndexedDB,
  request: Request,
): Promise<{ source: CheckpointModel; notices: string[]; fromCache: number }> {
  const notices: string[] = [];
  const store = modelStore({ indexedDB: db as unknown as IDBFactory });
  const cache = new ModelCache(store, { onNotice: (n) => notices.push(n), backOff: 1 });
  const cached = new CachedModel(cache, await importKey(request), { shardBytes: 65536 });
  const checkpoint = await openCheckpoint(request, {
    formats,
    merges: server.url('clip-merges.txt').href,
    url: { backOff: 1, stall: 200 },
    remember: (path, load) => cached.text(path, load),
  });
  const result = { notices, fromCache: 0 };
  const source = checkpointModel(checkpoint, {
    formats,
    tokenizer: undefined as unknown as WebAssembly.Module,
    weights: request.weights,
    cached,
    onBytes: (count, _, fromCache) => {
      if (fromCache) result.fromCache += count;
    },
  });
  return Object.assign(result, { source });
}

async function tableOf(
  source: Pick<CheckpointModel, 'config'>,
  part: PartName,
): Promise<ReadonlyMap<string, Param>> {
  const config = await source.config(part);
  const picture = { batch: 1, height: 16, width: 16 };
  if (part === 'unet') return traceUNet(parseUNetConfig(config), { ...picture, tokens: 77 }).params;
  if (part === 'vae') {
    const vae = parseVaeConfig(config);
    return new Map([
      ...traceVaeEncoder(vae, picture).params,
      ...traceVaeDecoder(vae, picture).params,
    ]);
  }
  return traceClipText(parseClipTextConfig(config), {
    batch: 1,
    tokens: 77,
    skip: 0,
    finalNorm: true,
  }).params;
}

/** What each part must give, packed straight from the f32 folder. */
const folder = await openDiffusersFolder(
  new MapFiles(
    new Map(
      [...files]
        .filter(([path]) => path.startsWith('diffusers/'))
        .map(([path, bytes]) => [path.slice('diffusers/'.length), bytes]),
    ),
  ),
  { formats },
);
const truth = new Map<PartName, Map<string, Float32Array<ArrayBuffer>>>();
for (const part of PARTS) {
  const values = new Map<string, Float32Array<ArrayBuffer>>();
  for await (const { name, dtype, bytes } of (await folder.tensors(part)).tensors())
    if (isWeightDType(dtype)) values.set(name, toFloat32(bytes, dtype));
  truth.set(part, values);
}

const packedTruth = new Map<string, Uint8Array[]>();
/** The blocks a parameter must have, packed from the f32 folder; `add` for the raw weights. */
function expectedBlocks(
  part: PartName,
  param: Param,
  dtype: WeightDtype,
  add: number,
): Uint8Array[] {
  // prettier-ignore
  const key = `${part}/${param.name}/${dtype}/${add}`;
  const known = packedTruth.get(key);
  if (known) return known;
  const values = truth.get(part)!.get(param.name)!;
  const shifted = add !== 0 && part === 'unet' ? values.map((v) => v + add) : values;
  const { data, scales } = packTensor(param, shifted, storedAs(dtype)(param));
  const blocks = [data, ...(scales ? [scales] : [])].map(
    (array) => new Uint8Array(array.buffer, array.byteOffset, array.byteLength),
  );
  packedTruth.set(key, blocks);
  return blocks;
}

async function loadAll(
  source: CheckpointModel,
  dtype: WeightDtype,
  add = 0,
  parts = PARTS,
): Promise<void> {
  // prettier-ignore
  await source.totalBytes();
  for (const part of parts) {
    const params = await tableOf(source, part);
    const seen = new Set<string>();
    for await (const { name, data, scales } of source.weights(part, params, dtype)) {
      const blocks = [data, ...(scales ? [scales] : [])].map((array) =>
        Buffer.from(array.buffer, array.byteOffset, array.byteLength),
      );
      const expected = expectedBlocks(part, params.get(name)!, dtype, add);
      assert.equal(blocks.length, expected.length);
      blocks.forEach((block, i) => assert.ok(block.equals(expected[i]), `${name} is right`));
      seen.add(name);
    }
    assert.equal(seen.size, params.size);
  }
}

const url = (path: string): ModelLocation => ({ kind: 'url', url: server.url(path).href });
const parts = (path: string): Request['parts'] =>
  Object.fromEntries(PARTS.map((part) => [part, url(path)]));
const base: Request = { model: url('diffusers/'), variant: undefined };

const requests: [string, () => Request, number][] = [
  ['a folder', () => ({ ...base, model: url('diffusers/') }), 0],
  ['the parts of a single safetensors file', () => ({ ...base, model: url('diffusers/'), parts: parts('model.safetensors') }), 0], // prettier-ignore
  ['the parts of a checkpoint, averaged', () => ({ ...base, model: url('diffusers/'), parts: parts('checkpoint.ckpt') }), 0], // prettier-ignore
  ['the parts of a checkpoint, raw', () => ({ ...base, model: url('diffusers/'), parts: parts('checkpoint.ckpt'), weights: 'raw' }), 1], // prettier-ignore
];
for (const [what, request, add] of requests)
  for (const dtype of ['f32', 'f16', 'i8'] as const)
    test(`${what} in ${dtype}: imported right, then loaded without a request`, async () => {
      const db = new FakeIndexedDB();
      const first = await open(db, request());
      await loadAll(first.source, dtype, add);
      assert.ok(server.requests.length > 0);
      assert.equal(first.fromCache, 0);

      server.requests.length = 0;
      const second = await open(db, request());
      await loadAll(second.source, dtype, add);
      assert.deepEqual(server.requests, []);
      assert.equal(second.fromCache, await second.source.totalBytes());
      assert.deepEqual([...first.notices, ...second.notices], []);
    });

test('an address that names no format: one file where there is no model index', async () => {
  const name = 'model.diffusion_model.input_blocks.0.0.weight';
  const header = JSON.stringify({
    [name]: { dtype: 'F16', shape: [320, 4, 3, 3], data_offsets: [0, 23040] },
  });
  const file = new Uint8Array(8 + header.length + 23040);
  new DataView(file.buffer).setUint32(0, header.length, true);
  new TextEncoder().encodeInto(header, file.subarray(8));
  server.files.set('download/123', file);
  const db = new FakeIndexedDB();
  const request = { ...base, model: url('download/123') };
  const { source } = await open(db, request);
  const config = (await source.config('unet')) as Record<string, unknown>;
  assert.equal(config.cross_attention_dim, 768);
  server.requests.length = 0;
  await open(db, request);
  assert.deepEqual(server.requests, []);

  const wrong = { ...base, model: url('download/124') };
  await assert.rejects(open(db, wrong), (error) => {
    assert.ok(isSDError(error) && error.code === 'MISSING_FILE');
    assert.match(error.message, /model_index\.json/);
    return true;
  });
  // What was missing once is asked for again.
  for (const [path, bytes] of files)
    if (path.startsWith('diffusers/'))
      server.files.set(`download/124/${path.slice('diffusers/'.length)}`, bytes);
  await loadAll((await open(db, wrong)).source, 'f32');
});

test('int8 is kept with its scales; small matrices of the same model are f16', async () => {
  // The models of the fixtures are so small that all of them stays f16.
  const shapes = { large: [520, 520], small: [8, 520] };
  const name = (part: string): string => `${part}.weight`;
  const params = new Map(
    Object.entries(shapes).map(([part, shape]): [string, Param] => [
      name(part),
      { name: name(part), kind: 'matrix', shape },
    ]),
  );
  const values = (shape: readonly number[]) =>
    new Float32Array(shape[0] * shape[1]).map((_, i) => Math.sin(i * i) / (1 + (i % 7)));
  let reads = 0;
  const reader: TensorReader = {
    names: () => params.keys(),
    info: (wanted) => ({ dtype: 'F32', shape: params.get(wanted)!.shape }),
    async *tensors(names = params.keys()) {
      for (const wanted of names) {
        reads++;
        const { shape } = params.get(wanted)!;
        const bytes = new Uint8Array(values(shape).buffer);
        yield { name: wanted, dtype: 'F32', shape, bytes };
      }
    },
  };
  const checkpoint = {
    name: 'a model',
    modelIndex: {},
    components: new Map([['unet', { library: 'diffusers', type: 'UNet2DConditionModel' }]]),
    tensors: async () => reader,
  } as unknown as Checkpoint;
  const db = new FakeIndexedDB();
  for (const times of [2, 0]) {
    reads = 0;
    const store = modelStore({ indexedDB: db as unknown as IDBFactory });
    const cached = new CachedModel(new ModelCache(store), { key: 'k', name: 'a model' }, { shardBytes: 65536 }); // prettier-ignore
    const tokenizer = undefined as unknown as WebAssembly.Module;
    const { weights } = checkpointModel(checkpoint, { tokenizer, formats, cached });
    const dtypes: Record<string, string> = {};
    for await (const given of weights('unet', params, 'i8')) {
      const param = params.get(given.name)!;
      const wanted = packTensor(param, values(param.shape), given.dtype);
      dtypes[given.name] = given.dtype;
      assert.deepEqual(Buffer.from(given.data), Buffer.from(wanted.data));
      assert.deepEqual(given.scales, wanted.scales);
    }
    assert.deepEqual(dtypes, { 'large.weight': 'i8', 'small.weight': 'f16' });
    assert.equal(reads, times, 'tensors that were read from the source');
  }
});

test('picked files are told apart by path, size and time', async () => {
  const pick = (time: number): ModelLocation => ({
    kind: 'files',
    files: [...files]
      .filter(([path]) => path.startsWith('diffusers/'))
      .map(([path, bytes]) => ({
        path,
        file: new File([bytes], path, { lastModified: time }),
      })),
  });
  const db = new FakeIndexedDB();
  await loadAll((await open(db, { ...base, model: pick(1) })).source, 'f16');
  const same = await open(db, { ...base, model: pick(1) });
  await loadAll(same.source, 'f16');
  assert.ok(same.fromCache > 0);
  const touched = await open(db, { ...base, model: pick(2) });
  await loadAll(touched.source, 'f16');
  assert.equal(touched.fromCache, 0);
});

const BEHAVIOURS: Behaviour[] = [
  'cut',
  'short',
  'html',
  'redirect',
  'wrong-206',
  'long-206',
  'no-content-range',
  'plain',
  { status: 404 },
  { status: 403 },
  { status: 429, headers: { 'Retry-After': '0' } },
  { status: 503 },
];
for (const behaviour of BEHAVIOURS)
  test(`the N-th request meets ${JSON.stringify(behaviour)}, for every N: nothing wrong is used, the next run completes`, async () => {
    let failures = 0;
    const load = async (db: FakeIndexedDB): Promise<void> =>
      loadAll((await open(db, base)).source, 'f16', 0, ['text_encoder']);
    for (let n = 0; ; n++) {
      const db = new FakeIndexedDB();
      server.requests.length = 0;
      server.script = [...Array.from({ length: n }, (): Behaviour => 'range'), behaviour];
      try {
        await load(db);
      } catch (error) {
        assert.ok(isSDError(error), String(error));
        assert.match(error.code, /^(NETWORK|MISSING_FILE|INVALID_FILE)$/);
        failures++;
      }
      const reached = server.requests.length > n;
      server.script = [];
      await load(db);
      server.requests.length = 0;
      await load(db);
      assert.deepEqual(server.requests, []);
      if (!reached) break;
      assert.ok(n < 100, 'the loop ends');
    }
    const mended = ['cut', 'short', 'redirect', 'no-content-range', 'plain'];
    const transient = typeof behaviour === 'object' && (behaviour.status === 429 || behaviour.status >= 500); // prettier-ignore
    if (mended.includes(behaviour as string) || transient) assert.equal(failures, 0);
    else assert.ok(failures > 0);
  });

test('after a break, what was stored is not fetched again', async () => {
  const db = new FakeIndexedDB();
  const { source } = await open(db, base);
  const params = await tableOf(source, 'unet');
  let count = 0;
  for await (const _ of source.weights('unet', params, 'f16')) {
    void _;
    if (++count > params.size / 2) break;
  }
  server.requests.length = 0;
  server.sent = 0;
  const again = await open(db, base);
  for await (const _ of again.source.weights('unet', params, 'f16')) void _;
  const unet = files.get('diffusers/unet/diffusion_pytorch_model.safetensors')!.length;
  assert.ok(again.fromCache > unet * 0.3, `${again.fromCache} of ${unet} from the cache`);
});
