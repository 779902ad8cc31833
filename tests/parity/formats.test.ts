import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { after, test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { validateOptions } from '../../sdk/options.ts';
import { generate } from '../../sdk/pipeline/generate.ts';
import type { PartName } from '../../sdk/pipeline/model-source.ts';
import { Pipeline } from '../../sdk/pipeline/pipeline.ts';
import { checkpointModel } from '../../sdk/worker/checkpoint-model.ts';
import { openCheckpoint } from '../../sdk/worker/open-checkpoint.ts';
import type { LoadRequest, ModelLocation } from '../../sdk/worker/protocol.ts';
import { nodeWasmBackend } from '../support/wasm-backend.ts';
import { formats as loadFormats } from '../support/formats.ts';

// One model in every format that people keep checkpoints in (tests/reference/checkpoints.py), and the
// pictures that diffusers draws with it.

const root = new URL('../fixtures/checkpoints/', import.meta.url);
const files = (readdirSync(root, { recursive: true }) as string[])
  .filter((name) => name.endsWith('.gz'))
  .map((name) => ({
    path: name.slice(0, -3),
    file: new Blob([new Uint8Array(gunzipSync(readFileSync(new URL(name, root))))]),
  }));
/** A file, or a folder with all that is below it. */
const place = (path: string): ModelLocation => ({
  kind: 'files',
  files: files
    .filter((file) => file.path.startsWith(path))
    .map((file) => ({ ...file, path: path.endsWith('/') ? file.path.slice(path.length) : path })),
});

type Drawn = { readonly latents: readonly number[]; readonly image: readonly number[] };
const wanted = JSON.parse(
  await files.find(({ path }) => path === 'pictures.json')!.file.text(),
) as Record<'f32' | 'f16' | 'bf16' | 'raw', Drawn>;

const backend = await nodeWasmBackend();
const tokenizer = await WebAssembly.compile(
  readFileSync(new URL('../../build/wasm/tokenizer.wasm', import.meta.url)),
);
after(() => backend.dispose());

type Request = Pick<LoadRequest, 'variant' | 'weights' | 'parts' | 'dtype'>;

async function draw(
  request: Request,
  formats = loadFormats,
): Promise<{ latents: Float32Array; pixels: Uint8ClampedArray }> {
  const whole = { ...request, model: place('diffusers/') };
  const checkpoint = await openCheckpoint(whole, { formats, merges: 'unused:' });
  const { dtype, weights } = request;
  const source = checkpointModel(checkpoint, { tokenizer, formats, weights });
  const pipeline = await Pipeline.load(source, backend, { dtype });
  try {
    const options = { prompt: 'the lake', steps: 4, guidanceScale: 4, seed: 7 };
    const { request: run } = validateOptions(options);
    const done = await generate(pipeline, { ...run, image: undefined, mask: undefined });
    return { latents: done.latents, pixels: done.pictures[0].data };
  } finally {
    pipeline.dispose();
  }
}

const all = (path: string): Request['parts'] =>
  Object.fromEntries((['unet', 'vae', 'text_encoder'] as PartName[]).map((p) => [p, place(path)]));
const unet = (path: string): Request['parts'] => ({ unet: place(path) });

/** Those of diffusers under its own names need no other module than the worker. */
const formats: readonly [string, Omit<Request, 'dtype'>, keyof typeof wanted, 'own'?][] = [
  ['a diffusers folder in f32', { variant: undefined }, 'f32', 'own'],
  ['a diffusers folder in f16', { variant: 'fp16' }, 'f16', 'own'],
  ['a diffusers folder in bf16', { variant: 'bf16' }, 'bf16', 'own'],
  ['a CompVis .safetensors', { variant: undefined, parts: all('model.safetensors') }, 'f32'],
  ['a .ckpt with averaged weights beside the raw ones', { variant: undefined, parts: all('checkpoint.ckpt') }, 'f32'], // prettier-ignore
  ['the raw weights of that .ckpt', { variant: undefined, parts: all('checkpoint.ckpt'), weights: 'raw' }, 'raw'], // prettier-ignore
  ['a .ckpt in the legacy stream, in f16', { variant: undefined, parts: all('legacy.ckpt') }, 'f16'], // prettier-ignore
  ['a sharded UNet', { variant: undefined, parts: unet('sharded/unet/') }, 'f32', 'own'],
  ['a UNet in a .bin', { variant: undefined, parts: unet('bin/unet/') }, 'f32'],
];

const rms = (a: ArrayLike<number>, b: ArrayLike<number>): number => {
  let [error, size] = [0, 0];
  for (let i = 0; i < b.length; i++) {
    error += (a[i] - b[i]) ** 2;
    size += b[i] ** 2;
  }
  return Math.sqrt(error / size);
};
/** The pixels that an image of about −1..1, `[3, 16, 16]`, becomes. */
const toPixels = (image: readonly number[]): number[] =>
  Array.from({ length: 1024 }, (_, i) =>
    i % 4 === 3
      ? 255
      : Math.round(Math.min(1, Math.max(0, image[(i % 4) * 256 + (i >> 2)] / 2 + 0.5)) * 255),
  );
const farthest = (a: ArrayLike<number>, b: ArrayLike<number>): number =>
  Array.from(a).reduce((most, x, i) => Math.max(most, Math.abs(x - b[i])), 0);

const first = new Map<string, Awaited<ReturnType<typeof draw>>>();
for (const [what, request, as, own] of formats)
  test(`${what} gives the picture that diffusers draws with its weights`, async () => {
    let asked = 0;
    const drawn = await draw({ ...request, dtype: 'f32' }, () => (asked++, loadFormats()));
    assert.equal(asked === 0, own === 'own', `the formats were asked for ${asked} times`);
    const error = rms(drawn.latents, wanted[as].latents);
    assert.ok(error < 2e-5, `${error}`);
    assert.ok(farthest(drawn.pixels, toPixels(wanted[as].image)) <= 1);
    // Whatever the format, the same weights give the same bits.
    const same = first.get(as) ?? drawn;
    first.set(as, same);
    assert.deepEqual(drawn, same);
  });

test('half precision moves the picture by little, the raw weights by much', () => {
  const off = (as: keyof typeof wanted): number =>
    rms(first.get(as)!.latents, first.get('f32')!.latents);
  const distances = { f16: off('f16'), bf16: off('bf16'), raw: off('raw') };
  console.log(`relative RMS distance of the latents from those of f32: ${JSON.stringify(distances)}`); // prettier-ignore
  assert.ok(distances.f16 < 2e-3 && distances.bf16 < 2e-2 && distances.raw > 1);
});

// The f32 file, converted as it is imported.
for (const [dtype, most] of [
  ['f16', 2e-3],
  ['i8', 5e-2],
] as const)
  // prettier-ignore
  test(`imported as ${dtype}, every f32 format gives the same picture, close to that of f32`, async () => {
    const drawn = await Promise.all(
      formats.filter(([, , as]) => as === 'f32').map(([, request]) => draw({ ...request, dtype })),
    );
    for (const one of drawn) assert.deepEqual(one, drawn[0]);
    const error = rms(drawn[0].latents, wanted.f32.latents);
    console.log(`imported as ${dtype}: ${error} from f32`);
    assert.ok(error < most, `${error}`);
  });
