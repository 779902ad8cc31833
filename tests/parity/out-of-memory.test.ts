import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Backend } from '../../sdk/backends/backend.ts';
import { SDError } from '../../sdk/errors.ts';
import type { Graph } from '../../sdk/graph/index.ts';
import { Pipeline } from '../../sdk/pipeline/pipeline.ts';
import type { Job } from '../../sdk/pipeline/request.ts';
import { createTestBackend } from './backends.ts';
import { fixedTokenizer } from './fixed-tokenizer.ts';
import { goldenFile } from './fixtures.ts';
import { sourceOf, type GoldenFile } from './golden-pipelines.ts';
import { maxError } from './tiny-weights.ts';

const golden = goldenFile<GoldenFile>('pipelines');
const job: Job = {
  prompts: [golden.prompt],
  negativePrompts: ['blurry, low quality'],
  count: 2,
  width: 64,
  height: 64,
  steps: 3,
  sampler: 'Euler a',
  guidanceScale: 4,
  guidanceRescale: 0,
  eta: 0,
  clipSkip: 0,
  seed: [3, 4],
  rng: 'torch',
};

/** Runs the job on an engine that has no room for some graphs. */
async function run(hasRoom: (graph: Graph) => boolean, wanted = job) {
  const engine = await createTestBackend('wasm');
  const limited: Backend = {
    name: engine.name,
    description: engine.description,
    createWeights: (params, dtype) => engine.createWeights(params, dtype),
    compile: async (graph, weights) => {
      if (!hasRoom(graph)) throw new SDError('OUT_OF_MEMORY', 'no room');
      return engine.compile(graph, weights);
    },
    dispose: () => engine.dispose(),
  };
  const source = await sourceOf(golden, golden.runs[0], async () => fixedTokenizer);
  const pipeline = await Pipeline.load(source, limited, { dtype: 'f32' });
  const notices: string[] = [];
  try {
    const result = await pipeline.run(wanted, { onNotice: (notice) => notices.push(notice) });
    return { ...result, notices };
  } finally {
    pipeline.dispose();
    await engine.dispose();
  }
}

const batchOf = (graph: Graph, input: string): number => graph.inputs.get(input)?.shape[0] ?? 0;

test('a batch that does not fit is computed row by row, with a notice', async () => {
  const whole = await run(() => true);
  assert.deepEqual(whole.notices, []);
  const parted = await run((graph) => batchOf(graph, 'sample') <= 1);
  assert.match(parted.notices.join(), /one by one/);
  assert.equal(parted.notices.length, 1);
  const scale = Math.max(...whole.latents.map(Math.abs));
  assert.ok(maxError(parted.latents, whole.latents) / scale < 2e-5);
  assert.ok(maxError(parted.images, whole.images) < 1e-3);
});

test('a picture that does not fit through the VAE goes in tiles, with a notice', async () => {
  const wide = { ...job, count: 1, seed: 3, width: 576, steps: 1 };
  const { images, notices } = await run(
    (graph) => (graph.inputs.get('latents')?.shape[2] ?? 0) <= 512 / 8,
    wide,
  );
  assert.match(notices.join(), /in tiles/);
  assert.equal(images.length, 3 * 64 * 576);
  assert.ok(images.every(Number.isFinite));
});

test('what does not fit in any way is a clear error', async () => {
  await assert.rejects(
    run((graph) => !graph.inputs.has('sample')),
    { code: 'OUT_OF_MEMORY' },
  );
  await assert.rejects(
    run((graph) => !graph.inputs.has('latents')),
    { code: 'OUT_OF_MEMORY' },
  );
});
