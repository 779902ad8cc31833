import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { after, test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { validateOptions } from '../../sdk/options.ts';
import { Autoencoder } from '../../sdk/pipeline/autoencoder.ts';
import { generate } from '../../sdk/pipeline/generate.ts';
import { Pipeline } from '../../sdk/pipeline/pipeline.ts';
import { createGenerator } from '../../sdk/random/index.ts';
import { openTensors } from '../../sdk/weights/open.ts';
import { MemorySource } from '../../sdk/weights/source.ts';
import { checkpointModel } from '../../sdk/worker/checkpoint-model.ts';
import { openCheckpoint } from '../../sdk/worker/open-checkpoint.ts';
import type { ModelLocation } from '../../sdk/worker/protocol.ts';
import { nodeWasmBackend } from '../support/wasm-backend.ts';
import { fails, writeSafetensors, type TestTensor } from '../unit/weights-helpers.ts';
import { formats } from '../support/formats.ts';

// TAESD as its author saves it: bare numbers of two nn.Sequentials (tests/reference/checkpoints.py
// builds those and runs them in PyTorch).

const root = new URL('../fixtures/checkpoints/', import.meta.url);
const read = (path: string): Uint8Array<ArrayBuffer> =>
  new Uint8Array(gunzipSync(readFileSync(new URL(`${path}.gz`, root))));
const model: ModelLocation = {
  kind: 'files',
  files: (readdirSync(new URL('diffusers/', root), { recursive: true }) as string[])
    .filter((name) => name.endsWith('.gz'))
    .map((name) => name.slice(0, -3))
    .map((path) => ({ path, file: new Blob([read(`diffusers/${path}`)]) })),
};
const expected = JSON.parse(new TextDecoder().decode(read('taesd/expected.json'))) as Record<
  'latents' | 'image' | 'back',
  number[]
>;
const [HEIGHT, WIDTH] = [4, 6];

const backend = await nodeWasmBackend();
const tokenizer = await WebAssembly.compile(readFileSync('build/wasm/tokenizer.wasm'));
after(() => backend.dispose());

async function open(
  path: string,
  bytes: Uint8Array<ArrayBuffer>,
  texts = new Map<string, string>(),
) {
  // prettier-ignore
  const vae: ModelLocation = { kind: 'files', files: [{ path, file: new Blob([bytes]) }] };
  const checkpoint = await openCheckpoint(
    { model, variant: undefined, parts: { vae } },
    {
      formats,
      merges: 'unused:',
      remember: async (key, load) => {
        const text = texts.get(key) ?? (await load());
        if (text !== undefined) texts.set(key, text);
        return text;
      },
    },
  );
  return checkpointModel(checkpoint, { tokenizer, formats });
}

/** Both halves in one file, under the names that `rename` gives. */
async function both(
  rename: (side: 'encoder' | 'decoder', index: number, rest: string) => string,
  extra: [string, TestTensor][] = [],
): Promise<Uint8Array<ArrayBuffer>> {
  const tensors = [...extra];
  for (const side of ['encoder', 'decoder'] as const) {
    const reader = await openTensors(new MemorySource(read(`taesd/taesd_${side}.pth`)), formats);
    for await (const { name, dtype, shape, bytes } of reader.tensors()) {
      const [, index, rest] = /^(\d+)\.(.+)$/.exec(name)!;
      tensors.push([rename(side, Number(index), rest), { dtype, shape, bytes }]);
    }
  }
  return writeSafetensors(tensors);
}
const near = (actual: Float32Array, wanted: readonly number[]): void => {
  assert.equal(actual.length, wanted.length);
  actual.forEach((x, i) => assert.ok(Math.abs(x - wanted[i]) < 2e-5, `${x} for ${wanted[i]}`));
};
const decoded = async (vae: Autoencoder): Promise<void> =>
  near(
    await vae.decode(Float32Array.from(expected.latents), [1, 4, HEIGHT, WIDTH], {}),
    expected.image.map((x) => 2 * x - 1),
  );
const scalar: TestTensor = { dtype: 'F32', shape: [], bytes: new Uint8Array(4) };

const files: readonly [string, () => Promise<Uint8Array<ArrayBuffer>>][] = [
  ['numbers behind taesd_encoder and taesd_decoder, with scales', () => both((side, i, rest) => `taesd_${side}.${i}.${rest}`, [['vae_scale', scalar], ['vae_shift', scalar]])], // prettier-ignore
  ['numbers behind encoder and decoder', () => both((side, i, rest) => `${side}.${i}.${rest}`)],
  ["diffusers' names", () => both((side, i, rest) => `${side}.layers.${side === 'decoder' ? i - 1 : i}.${rest}`)], // prettier-ignore
];
for (const [what, file] of files)
  test(`both halves in one file, ${what}: what PyTorch decodes and encodes`, async () => {
    const source = await open('taesd.safetensors', await file());
    const vae = await Autoencoder.load(source, backend, { dtype: 'f32' });
    await decoded(vae);
    const image = Float32Array.from(expected.image, (x) => 2 * x - 1);
    near(await vae.encode(image, HEIGHT * 8, WIDTH * 8, createGenerator('torch', 0), 1), expected.back); // prettier-ignore
    vae.dispose();
  });

test('taesd_decoder.pth in place of the VAE: pictures, none from pictures, and its config is kept', async () => {
  const texts = new Map<string, string>();
  const bytes = read('taesd/taesd_decoder.pth');
  const source = await open('taesd_decoder.pth', bytes, texts);
  const vae = await Autoencoder.load(source, backend, { dtype: 'f32' });
  await decoded(vae);
  vae.dispose();
  const pipeline = await Pipeline.load(source, backend, { dtype: 'f16' });
  const draw = (options: object) => {
    const { request } = validateOptions({ prompt: 'the lake', steps: 4, seed: 7, ...options });
    return generate(pipeline, { ...request, mask: undefined, image: 'image' in options ? (options.image as never) : undefined }); // prettier-ignore
  };
  const { pictures } = await draw({});
  assert.deepEqual([pictures[0].width, pictures[0].height], [64, 64]);
  assert.ok(new Set(pictures[0].data).size > 20, 'the picture is not empty');
  const image = { width: 64, height: 64, data: new Uint8ClampedArray(4 * 64 * 64) };
  for (const options of [{ image }, { secondPass: { upscaler: 'lanczos' } }])
    await assert.rejects(draw(options), fails('INVALID_OPTION', /a decoder alone/));
  pipeline.dispose();
  // The second load finds the config without opening the file.
  assert.equal(JSON.parse(texts.get('parts/vae/config.json')!)._class_name, 'AutoencoderTiny');
});

test('an encoder alone is refused; a common VAE keeps its own config', async () => {
  const encoder = await open('taesd_encoder.pth', read('taesd/taesd_encoder.pth'));
  await assert.rejects(encoder.config('vae'), fails('UNSUPPORTED_FORMAT', /the encoder of TAESD alone/)); // prettier-ignore
  const common = await open('model.safetensors', read('model.safetensors'));
  assert.equal(((await common.config('vae')) as { _class_name: string })._class_name, 'AutoencoderKL'); // prettier-ignore
});
