import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import type { Backend, Weights } from '../../sdk/backends/backend.ts';
import { LinearMemory } from '../../sdk/backends/wasm/memory.ts';
import { WasmWeights } from '../../sdk/backends/wasm/weights.ts';
import { validateOptions } from '../../sdk/options.ts';
import { generate } from '../../sdk/pipeline/generate.ts';
import { Residence } from '../../sdk/pipeline/part.ts';
import { Pipeline } from '../../sdk/pipeline/pipeline.ts';
import { checkpointModel } from '../../sdk/worker/checkpoint-model.ts';
import { openCheckpoint } from '../../sdk/worker/open-checkpoint.ts';
import type { ModelLocation } from '../../sdk/worker/protocol.ts';
import { nodeWasmBackend } from '../support/wasm-backend.ts';
import { formats } from '../support/formats.ts';

// `memory: 'low'`: the parts of a model in memory one after another.

const TINY = 'tests/fixtures/tiny-model';
const model: ModelLocation = {
  kind: 'files',
  files: (readdirSync(TINY, { recursive: true }) as string[])
    .filter((path) => /\.\w+$/.test(path))
    .map((path) => ({ path, file: new Blob([readFileSync(`${TINY}/${path}`)]) })),
};
const tokenizer = await WebAssembly.compile(readFileSync('build/wasm/tokenizer.wasm'));

/** The engine, and what its weights take at any moment. */
async function counting(): Promise<{ backend: Backend; sizes: number[]; live: Set<Weights> }> {
  const inner = await nodeWasmBackend();
  const live = new Set<Weights>();
  const sizes: number[] = [];
  const backend: Backend = {
    name: inner.name,
    description: inner.description,
    compile: (graph, weights) => inner.compile(graph, weights),
    dispose: () => inner.dispose(),
    createWeights: async (params, dtypes) => {
      const weights = await inner.createWeights(params, dtypes);
      live.add(weights);
      const [set, dispose] = [weights.set.bind(weights), weights.dispose.bind(weights)];
      weights.set = async (param) => {
        await set(param);
        sizes.push([...live].reduce((sum, { bytes }) => sum + bytes, 0));
      };
      weights.dispose = () => {
        live.delete(weights);
        dispose();
      };
      return weights;
    },
  };
  return { backend, sizes, live };
}

async function draw(low: boolean) {
  const { backend, sizes, live } = await counting();
  const checkpoint = await openCheckpoint(
    { model, variant: undefined },
    { formats, merges: 'unused:' },
  );
  const source = checkpointModel(checkpoint, { tokenizer, formats });
  const residence = new Residence(low);
  const pipeline = await Pipeline.load(source, backend, { dtype: 'f16', residence });
  const image = { width: 32, height: 32, data: new Uint8ClampedArray(32 * 32 * 4).fill(99) };
  const pictures: Uint8ClampedArray[] = [];
  for (const start of [undefined, image, undefined]) {
    const { request } = validateOptions({ prompt: 'the lake', steps: 3, seed: 7 });
    const wanted = { ...request, image: start, mask: undefined, width: 32, height: 32 };
    const made = await generate(pipeline, wanted);
    pictures.push(made.pictures[0].data);
  }
  // A run that is stopped while its weights are read leaves a model that can be used.
  const stop = new AbortController();
  stop.abort(new Error('stopped'));
  const { request } = validateOptions({ prompt: 'the lake', steps: 3, seed: 7 });
  const wanted = { ...request, image: undefined, mask: undefined, width: 32, height: 32 };
  await assert.rejects(generate(pipeline, wanted, { signal: stop.signal }));
  pictures.push((await generate(pipeline, wanted)).pictures[0].data);
  const most = Math.max(...sizes);
  const parts = live.size;
  pipeline.dispose();
  assert.equal(live.size, 0);
  await backend.dispose();
  return { pictures, most, parts };
}

test("memory: 'low' draws the same pictures with one part in memory at a time", async () => {
  const [normal, low] = [await draw(false), await draw(true)];
  assert.deepEqual(low.pictures, normal.pictures);
  assert.deepEqual(low.pictures[2], low.pictures[0]);
  assert.deepEqual(low.pictures[3], low.pictures[0]);
  assert.equal(normal.parts, 3);
  assert.equal(low.parts, 1);
  // The largest part alone: more than a third of the three together, and less than two.
  assert.ok(low.most < 0.75 * normal.most, `${low.most} bytes for ${normal.most}`);
});

test('weights that were disposed of make room for others in the same linear memory', async () => {
  const memory = new LinearMemory(false);
  const params = [{ name: 'w', kind: 'matrix', shape: [1024, 4096] }] as const;
  const data = new Uint8Array(1024 * 4096 * 4);
  let size = 0;
  for (let turn = 0; turn < 4; turn++) {
    const weights = new WasmWeights(memory, params, 'f32');
    await weights.set({ ...params[0], dtype: 'f32', data });
    if (turn === 0) size = memory.memory.buffer.byteLength;
    weights.dispose();
  }
  assert.equal(memory.memory.buffer.byteLength, size);
});
