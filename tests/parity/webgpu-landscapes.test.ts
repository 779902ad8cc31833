import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import type { Backend } from '../../sdk/backends/backend.ts';
import { createWebGPUBackend } from '../../sdk/backends/webgpu/index.ts';
import { createRenewingBackend } from '../../sdk/backends/webgpu/renewal.ts';
import { validateOptions } from '../../sdk/options.ts';
import { generate } from '../../sdk/pipeline/generate.ts';
import { Pipeline } from '../../sdk/pipeline/pipeline.ts';
import { MapFiles } from '../../sdk/weights/files.ts';
import { openDiffusersFolder } from '../../sdk/weights/folder.ts';
import { checkpointModel } from '../../sdk/worker/checkpoint-model.ts';
import { nodeWasmBackend } from '../support/wasm-backend.ts';
import { openGPU, readKernels } from './webgpu-device.ts';
import { formats } from '../support/formats.ts';

const gpu = await openGPU();
/** All of a picture; SD_STEPS=20 is the full length. */
const STEPS = Number(process.env.SD_STEPS ?? 3);

const root = new URL('../../', import.meta.url);
const model = new URL('demos/landscapes/model/', root);
const paths = (readdirSync(model, { recursive: true }) as string[]).filter((p) => /\.\w+$/.test(p));

async function draw(backend: Backend): Promise<Uint8ClampedArray> {
  const files = MapFiles.fromPaths(
    paths.map((path) => [`landscapes/${path}`, new Blob([readFileSync(new URL(path, model))])]),
  );
  const tokenizer = await WebAssembly.compile(
    readFileSync(new URL('build/wasm/tokenizer.wasm', root)),
  );
  const source = checkpointModel(await openDiffusersFolder(files, { formats }), {
    tokenizer,
    formats,
  });
  const pipeline = await Pipeline.load(source, backend, { dtype: 'f16' });
  const prompt = 'a lake among mountains at sunset';
  const { request } = validateOptions({ prompt, seed: 5, steps: STEPS, guidanceScale: 5 });
  const { pictures } = await generate(pipeline, { ...request, image: undefined, mask: undefined });
  pipeline.dispose();
  await backend.dispose();
  return pictures[0].data;
}

function psnr(a: Uint8ClampedArray, b: Uint8ClampedArray): number {
  assert.equal(a.length, b.length);
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i] - b[i]) ** 2;
  // Alpha is the same everywhere and no part of the picture.
  return 10 * Math.log10(255 ** 2 / (sum / (a.length * 0.75)));
}

test(
  `the landscapes model draws the same picture on the CPU and on the GPU, ${STEPS} steps`,
  { skip: !gpu },
  async () => {
    const kernels = readKernels();
    const onCpu = await draw(await nodeWasmBackend());
    const seen = new Set(onCpu);
    assert.ok(seen.size > 20, 'the picture is of few colours');
    for (const [storage, least] of [
      ['f32', 45],
      ['f16', 35],
    ] as const) {
      const open = () => createWebGPUBackend({ gpu, kernels, storage });
      const db = psnr(onCpu, await draw(await createRenewingBackend(open)));
      console.log(`${storage}: ${db.toFixed(1)} dB`);
      assert.ok(db >= least, `${storage}: ${db} dB`);
    }
  },
);
