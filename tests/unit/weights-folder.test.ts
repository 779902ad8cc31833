import assert from 'node:assert/strict';
import { test } from 'node:test';
import { locate } from '../../sdk/location.ts';
import { DirectoryFiles, MapFiles, UrlFiles, type ModelFiles } from '../../sdk/weights/files.ts';
import { openDiffusersFolder } from '../../sdk/weights/folder.ts';
import type { TensorReader } from '../../sdk/weights/tensor.ts';
import { BadServer } from '../faults/bad-server.ts';
import { f32, fails, readOne, writeSafetensors } from './weights-helpers.ts';
import { formats } from '../support/formats.ts';

const text = (value: unknown): Uint8Array<ArrayBuffer> =>
  new TextEncoder().encode(typeof value === 'string' ? value : JSON.stringify(value));

const modelIndex = {
  _class_name: 'StableDiffusionPipeline',
  _diffusers_version: '0.30.0',
  requires_safety_checker: false,
  scheduler: ['diffusers', 'PNDMScheduler'],
  safety_checker: [null, null],
  text_encoder: ['transformers', 'CLIPTextModel'],
  unet: ['diffusers', 'UNet2DConditionModel'],
};
const shard = (...tensors: [string, number][]): Uint8Array<ArrayBuffer> =>
  writeSafetensors(tensors.map(([name, value]) => [name, f32([value], [1])]));

const folder = (): Map<string, Uint8Array<ArrayBuffer>> =>
  new Map([
    ['model_index.json', text(modelIndex)],
    ['scheduler/scheduler_config.json', text({ beta_start: 0.00085 })],
    ['unet/config.json', text({ in_channels: 4 })],
    ['unet/diffusion_pytorch_model.safetensors', shard(['x', 1])],
    ['unet/diffusion_pytorch_model.fp16.safetensors', shard(['x', 2])],
    ['text_encoder/model.safetensors', shard(['y', 3])],
    ['tokenizer/merges.txt', text('#version: 0.2\né n\n')],
  ]);

async function values(reader: TensorReader): Promise<Record<string, number>> {
  const out: Record<string, number> = {};
  for await (const { name, bytes } of reader.tensors())
    out[name] = new Float32Array(bytes.buffer)[0];
  return out;
}

async function checkFolder(files: ModelFiles): Promise<void> {
  const it = await openDiffusersFolder(files, { formats });
  assert.deepEqual([...it.components.keys()], ['scheduler', 'text_encoder', 'unet']);
  assert.deepEqual(await it.config('scheduler'), { beta_start: 0.00085 });
  assert.deepEqual(await it.config('unet'), { in_channels: 4 });
  assert.equal(await it.text('tokenizer/merges.txt'), '#version: 0.2\né n\n');
  assert.equal(await it.optionalText('tokenizer/vocab.json'), undefined);
  await assert.rejects(it.text('tokenizer/vocab.json'), fails('MISSING_FILE', /vocab\.json/));
  assert.deepEqual(await values(await it.tensors('unet')), { x: 1 });
  assert.deepEqual(await values(await it.tensors('text_encoder')), { y: 3 });
  await assert.rejects(it.tensors('vae'), fails('MISSING_FILE', /no weights vae\//));

  const half = await openDiffusersFolder(files, { formats, variant: 'fp16' });
  assert.deepEqual(await values(await half.tensors('unet')), { x: 2 });
  assert.deepEqual(await values(await half.tensors('text_encoder')), { y: 3 });
}

test('a folder in memory', () => checkFolder(new MapFiles(folder())));

test('a picked folder, with its own name before every path', () => {
  const list = [...folder()].map(([path, bytes]) => {
    const file = new File([bytes], path.split('/').pop()!);
    Object.defineProperty(file, 'webkitRelativePath', { value: `downloads/my-model/${path}` });
    return file;
  });
  const located = locate(list);
  assert.ok(located.kind === 'files');
  return checkFolder(MapFiles.fromPaths(located.files.map(({ path, file }) => [path, file])));
});

test('a directory handle', () => {
  const handle = (prefix: string): object => ({
    name: 'my-model',
    getDirectoryHandle: async (name: string) => handle(`${prefix}${name}/`),
    getFileHandle: async (name: string) => {
      const bytes = folder().get(prefix + name);
      if (!bytes) throw new DOMException('no', 'NotFoundError');
      return { getFile: async () => new File([bytes], name) };
    },
  });
  return checkFolder(new DirectoryFiles(handle('') as FileSystemDirectoryHandle));
});

test('a folder on a server, plain or with a query, with Range or without', async () => {
  const server = await BadServer.start();
  try {
    for (const [path, bytes] of folder()) server.files.set(`org/model/resolve/main/${path}`, bytes);
    await checkFolder(new UrlFiles(server.url('org/model/resolve/main')));
    await checkFolder(new UrlFiles(server.url('org/model/resolve/main/?download=true')));
    server.otherwise = 'plain';
    await checkFolder(new UrlFiles(server.url('org/model/resolve/main/')));
  } finally {
    await server.stop();
  }
});

test('sharded weights, with the variant in either place', async () => {
  for (const [index, variant] of [
    ['diffusion_pytorch_model.safetensors.index.json', undefined],
    ['diffusion_pytorch_model.safetensors.index.fp16.json', 'fp16'],
    ['diffusion_pytorch_model.fp16.safetensors.index.json', 'fp16'],
  ] as const) {
    const files = folder();
    files.delete('unet/diffusion_pytorch_model.safetensors');
    files.delete('unet/diffusion_pytorch_model.fp16.safetensors');
    files.set('unet/m-00001-of-00002.safetensors', shard(['b', 2], ['a', 1]));
    files.set('unet/m-00002-of-00002.safetensors', shard(['c', 3]));
    const map = {
      a: 'm-00001-of-00002.safetensors',
      b: 'm-00001-of-00002.safetensors',
      c: 'm-00002-of-00002.safetensors',
    };
    files.set(`unet/${index}`, text({ metadata: { total_size: 12 }, weight_map: map }));
    const it = await openDiffusersFolder(new MapFiles(files), { formats, variant });
    const reader = await it.tensors('unet');
    assert.deepEqual(await values(reader), { b: 2, a: 1, c: 3 });
    assert.deepEqual([...reader.names()].sort(), ['a', 'b', 'c']);
    assert.deepEqual(reader.info('c')!.shape, [1]);
    assert.equal(new Float32Array((await readOne(reader, 'c')).bytes.buffer)[0], 3);

    const bad = async (change: (m: Record<string, unknown>) => void): Promise<unknown> => {
      const broken: Record<string, unknown> = { ...map };
      change(broken);
      files.set(`unet/${index}`, text({ weight_map: broken }));
      return (await openDiffusersFolder(new MapFiles(files), { formats, variant })).tensors('unet');
    };
    await assert.rejects(
      bad((m) => (m.d = 'm-00002-of-00002.safetensors')),
      fails('INVALID_FILE', /no tensor "d"/),
    );
    await assert.rejects(
      bad((m) => delete m.b),
      fails('INVALID_FILE', /does not place there/),
    );
    await assert.rejects(
      bad((m) => (m.a = '../secret')),
      fails('INVALID_FILE', /names no file for a/),
    );
    await assert.rejects(
      bad((m) => (m.a = '..')),
      fails('INVALID_FILE', /no path inside/),
    );
    await assert.rejects(
      bad((m) => (m.a = 'gone.safetensors')),
      fails('MISSING_FILE', /gone/),
    );
  }
});

test('an empty folder and broken indexes say what is wrong', async () => {
  const open = (index?: string, options = {}): Promise<unknown> =>
    openDiffusersFolder(
      new MapFiles(new Map(index === undefined ? [] : [['model_index.json', text(index)]])),
      { formats, ...options },
    );
  await assert.rejects(open(), fails('MISSING_FILE', /model_index\.json is missing/));
  await assert.rejects(open('{'), fails('INVALID_FILE', /not valid JSON/));
  await assert.rejects(open('[]'), fails('INVALID_FILE', /not a JSON object/));
  await assert.rejects(open('{"unet":[null,null]}'), fails('INVALID_MODEL', /names no parts/));
  await assert.rejects(open('{}', { variant: '../x' }), fails('INVALID_OPTION', /variant/));
});
