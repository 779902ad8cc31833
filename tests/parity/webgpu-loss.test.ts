import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Backend, PackedParam } from '../../sdk/backends/backend.ts';
import { createWebGPUBackend } from '../../sdk/backends/webgpu/index.ts';
import { createRenewingBackend, type RenewingBackend } from '../../sdk/backends/webgpu/renewal.ts';
import { Graph, scale, silu } from '../../sdk/graph/index.ts';
import { fixedTokenizer } from './fixed-tokenizer.ts';
import { goldenFile } from './fixtures.ts';
import { run as runPipelines } from './golden-pipelines.ts';
import { openGPU, readKernels } from './webgpu-device.ts';
import { pack, randomInputs, randomParams, relativeError } from './webgpu-ops.ts';

const gpu = await openGPU();
const skip = !gpu;
const kernels = readKernels();
const open = () => createWebGPUBackend({ gpu, kernels, storage: 'f32' });

/** Takes the GPU away, as a driver's restart does. */
function lose(backend: RenewingBackend): void {
  backend.current.device.gpu.destroy();
}

test('a device lost at any step of a picture changes nothing of it', { skip }, async () => {
  type Runs = Parameters<typeof runPipelines>[0];
  const all = goldenFile<Runs>('pipelines');
  const runs = all.runs.filter(({ name }) => /ddim/.test(name)).slice(0, 1);
  assert.equal(runs.length, 1);
  for (const [fatal, copyEvery] of [
    [[2], Infinity],
    [[3, 4], 0],
  ] as const) {
    const backend = await createRenewingBackend(open, copyEvery);
    let calls = 0;
    const losing: Backend = {
      name: backend.name,
      description: backend.description,
      createWeights: (params, dtype) => backend.createWeights(params, dtype),
      compile: (graph, weights) => backend.compile(graph, weights),
      dispose: () => backend.dispose(),
      createVectors: async (options) => {
        const vectors = (await backend.createVectors(options))!;
        const evaluate = vectors.evaluate.bind(vectors);
        vectors.evaluate = (...asked) => {
          const running = evaluate(...asked);
          if ((fatal as readonly number[]).includes(++calls)) lose(backend);
          return running;
        };
        return vectors;
      },
    };
    const wrong: string[] = [];
    await runPipelines(
      { ...all, runs },
      (what, error, tolerance) => {
        if (!(error <= tolerance)) wrong.push(`${what} is off by ${error}`);
      },
      (what, why) => wrong.push(`${what}: ${why}`),
      losing,
      async () => fixedTokenizer,
    );
    assert.deepEqual(wrong, []);
    assert.ok(calls > Math.max(...fatal), `only ${calls} runs`);
    await backend.dispose();
  }
});

test(
  'what was read before a loss is read again after it; the third loss is one too many',
  { skip },
  async () => {
    const backend = await createRenewingBackend(open);
    const graph = new Graph();
    graph.output('y', silu(graph.root.linear('l', graph.input('x', [1, 5, 12]), 8)));
    const params: PackedParam[] = [...randomParams(graph)].map(([name, values]) =>
      pack(graph.params.get(name)!, values, 'f32'),
    );
    const weights = await backend.createWeights(graph.params.values(), 'f32');
    for (const param of params) await weights.set(param);
    let refills = 0;
    weights.keepSource!(async function* () {
      refills++;
      yield* params;
    });
    const program = await backend.compile(graph, weights);
    program.write('x', randomInputs(graph).get('x')!);
    await program.run();
    const before = await program.read('y');

    lose(backend);
    assert.deepEqual(await program.read('y'), before);
    lose(backend);
    await program.run();
    assert.deepEqual(await program.read('y'), before);
    assert.equal(refills, 2);
    lose(backend);
    await assert.rejects(program.run(), { code: 'DEVICE_LOST' });
    program.dispose();
    weights.dispose();
    await backend.dispose();
  },
);

test('what overflows f16 is repeated in f32, once, with a notice', { skip }, async () => {
  const backend = await createRenewingBackend(() =>
    createWebGPUBackend({ gpu, kernels, storage: 'f16x2' }),
  );
  const graph = new Graph();
  graph.output('y', scale(scale(graph.input('x', [1, 3, 5]), 1e6), 1e-6));
  const weights = await backend.createWeights([], 'f16');
  const program = await backend.compile(graph, weights);
  const x = Float32Array.from({ length: 15 }, (_, i) => i / 3);
  for (const notices of [1, 0]) {
    program.write('x', x);
    await program.run();
    const y = await program.read('y');
    assert.ok(relativeError(y, x) < 1e-6);
    assert.equal(backend.takeNotices().length, notices);
  }
  // And after a loss it is exact at once.
  lose(backend);
  assert.ok(relativeError(await program.read('y'), x) < 1e-6);
  await backend.dispose();
});
