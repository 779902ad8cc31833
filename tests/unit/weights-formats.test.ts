import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import type { ParameterTable } from '../../sdk/weights/check.ts';
import { toFloat16, toFloat32 } from '../../sdk/weights/dtype.ts';
import { MapFiles } from '../../sdk/weights/files.ts';
import { openDiffusersFolder, openWeights } from '../../sdk/weights/folder.ts';
import { resolveNames, type PartKind } from '../../sdk/formats/names/resolve.ts';
import { openTensors } from '../../sdk/weights/open.ts';
import { MemorySource } from '../../sdk/weights/source.ts';
import { isWeightDType, type TensorReader } from '../../sdk/weights/tensor.ts';
import { TorchReader } from '../../sdk/formats/torch/reader.ts';
import { fails } from './weights-helpers.ts';
import { formats } from '../support/formats.ts';

const root = new URL('../fixtures/checkpoints/', import.meta.url);
function fixture(path: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(gunzipSync(readFileSync(new URL(`${path}.gz`, root))));
}
function fixtureFolder(folder: string): MapFiles {
  const files = new Map<string, Uint8Array>();
  for (const entry of readdirSync(new URL(`${folder}/`, root), { recursive: true }) as string[])
    if (entry.endsWith('.gz')) files.set(entry.slice(0, -3), fixture(`${folder}/${entry.slice(0, -3)}`)); // prettier-ignore
  return new MapFiles(files);
}
const openFile = (path: string): Promise<TensorReader> =>
  openTensors(new MemorySource(fixture(path), path), formats);

async function values(reader: TensorReader): Promise<Map<string, Float32Array>> {
  const out = new Map<string, Float32Array>();
  for await (const { name, dtype, bytes } of reader.tensors()) {
    assert.ok(isWeightDType(dtype), `${name} is ${dtype}`);
    out.set(name, toFloat32(bytes, dtype));
  }
  return out;
}
const half = (tensors: Map<string, Float32Array>): Map<string, Float32Array> =>
  new Map(
    [...tensors].map(([name, v]) => {
      const codes = toFloat16(new Uint8Array(v.slice().buffer), 'F32');
      return [name, toFloat32(new Uint8Array(codes.buffer), 'F16')];
    }),
  );

const parts: [string, PartKind][] = [
  ['unet', 'unet'],
  ['vae', 'vae'],
  ['text_encoder', 'text'],
];
const truth = new Map<string, Map<string, Float32Array>>();
const tables = new Map<string, ParameterTable>();
const folder = await openDiffusersFolder(fixtureFolder('diffusers'), { formats });
for (const [part] of parts) {
  const reader = await folder.tensors(part);
  truth.set(part, await values(reader));
  const kind = 'matrix';
  tables.set(
    part,
    new Map([...reader.names()].map((name) => [name, { shape: reader.info(name)!.shape, kind }])),
  );
}
const load = async (
  reader: TensorReader,
  part: string,
  kind: PartKind,
  weights?: 'ema' | 'raw',
): Promise<Map<string, Float32Array>> =>
  values(resolveNames(kind, reader, tables.get(part)!, { what: part, weights }));
const sorted = (tensors: Map<string, Float32Array>): [string, Float32Array][] =>
  [...tensors].sort(([a], [b]) => (a < b ? -1 : 1));
const same = (a: Map<string, Float32Array>, b: Map<string, Float32Array>): void =>
  assert.deepEqual(sorted(a), sorted(b));

for (const [part, kind] of parts) {
  test(`${part}: f16 and bf16 folders hold the f32 weights, rounded`, async () => {
    const f16 = await openDiffusersFolder(fixtureFolder('diffusers'), { formats, variant: 'fp16' });
    same(await values(await f16.tensors(part)), half(truth.get(part)!));
    const bf16 = await openDiffusersFolder(fixtureFolder('diffusers'), {
      formats,
      variant: 'bf16',
    });
    for (const [name, v] of await values(await bf16.tensors(part)))
      v.forEach((x, i) => {
        const exact = truth.get(part)!.get(name)![i];
        assert.ok(Math.abs(x - exact) <= Math.abs(exact) * 2 ** -8 && !Object.is(exact, 0));
      });
  });

  test(`${part}: a single safetensors file holds the same weights`, async () => {
    same(await load(await openFile('model.safetensors'), part, kind), truth.get(part)!);
  });

  test(`${part}: a checkpoint with averaged weights gives those`, async () => {
    const reader = await openFile('checkpoint.ckpt');
    same(await load(reader, part, kind), truth.get(part)!);
    const raw = await load(reader, part, kind, 'raw');
    for (const [name, v] of raw)
      v.forEach((x, i) => {
        const exact = truth.get(part)!.get(name)![i];
        assert.equal(x, part === 'unet' ? Math.fround(exact + 1) : exact);
      });
  });

  test(`${part}: a legacy checkpoint in f16`, async () => {
    same(await load(await openFile('legacy.ckpt'), part, kind), half(truth.get(part)!));
  });
}

test('sharded safetensors and a .bin hold the same weights', async () => {
  same(
    await values(await openWeights(fixtureFolder('sharded'), 'unet', { formats })),
    truth.get('unet')!,
  );
  same(
    await values(await openWeights(fixtureFolder('bin'), 'unet', { formats })),
    truth.get('unet')!,
  );
});

test('a checkpoint tells its count of steps', async () => {
  const reader = await TorchReader.open(new MemorySource(fixture('checkpoint.ckpt')));
  assert.equal(reader.metadata.get('global_step'), '470000');
  assert.ok(![...reader.names()].some((name) => name.includes('optimizer')));
});

for (const file of ['views.pt', 'views-legacy.pt'])
  test(`${file}: strides, offsets, shared storages and every dtype`, async () => {
    const expected = JSON.parse(new TextDecoder().decode(fixture('views.json'))) as Record<string, number[]>; // prettier-ignore
    const reader = await openFile(file);
    const names = [...reader.names()];
    assert.equal(names.length, file === 'views.pt' ? 15 : 11);
    for await (const { name, dtype, shape, bytes } of reader.tensors()) {
      const found = isWeightDType(dtype)
        ? [...toFloat32(bytes, dtype)]
        : dtype === 'I64'
          ? [...new BigInt64Array(bytes.buffer)].map(Number)
          : [...bytes];
      assert.deepEqual(found, expected[name], name);
      assert.equal(
        shape.reduce((a, b) => a * b, 1),
        found.length,
      );
    }
    assert.deepEqual(reader.info('permuted')!.shape, [4, 2, 3]);
    assert.deepEqual(reader.info('scalar')!.shape, []);
  });

test('files that are no weights are told apart', async () => {
  const open = (bytes: Uint8Array): Promise<TensorReader> =>
    openTensors(new MemorySource(bytes, 'x'), formats);
  const text = (s: string): Uint8Array => new TextEncoder().encode(s.padEnd(64));
  await assert.rejects(open(text('GGUF')), fails('UNSUPPORTED_FORMAT', /GGUF/));
  await assert.rejects(open(text('<!doctype html>')), fails('INVALID_FILE', /web page/));
  await assert.rejects(
    open(text('version https://git-lfs.github.com/spec/v1\noid sha256:0')),
    fails('INVALID_FILE', /Git LFS pointer/),
  );
  await assert.rejects(open(new Uint8Array(0)), fails('INVALID_FILE', /shorter than 8/));
  await assert.rejects(
    openFile('plain.pkl'),
    fails('UNSUPPORTED_FORMAT', /not one that torch\.save wrote/),
  );
});
