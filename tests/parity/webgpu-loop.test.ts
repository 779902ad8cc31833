import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Backend, PackedParam, Program, Vectors } from '../../sdk/backends/backend.ts';
import { createWebGPUBackend, type WebGPUOptions } from '../../sdk/backends/webgpu/index.ts';
import { createRenewingBackend } from '../../sdk/backends/webgpu/renewal.ts';
import { Graph, scale } from '../../sdk/graph/index.ts';
import { countMade, openGPU, readKernels } from './webgpu-device.ts';
import { pack, randomNumbers, randomParams, relativeError } from './webgpu-ops.ts';

const gpu = await openGPU();
const kernels = readKernels();
const shape = [2, 4, 3, 3] as const;
const size = 72;
const pulls = [0, 1].map((picture) => ({ picture, weight: 1 }));
const pictures = [0, 1, 0, 1];

const open =
  (options: Partial<WebGPUOptions> = {}) =>
  () =>
    createWebGPUBackend({ gpu, kernels, storage: 'f32', ...options });

/** A predictor of one layer whose numbers inside are `gain` times those outside. */
async function predictor(backend: Backend, gain = 1): Promise<Program> {
  const graph = new Graph();
  const sample = scale(graph.input('sample', [4, 3, 3, 4]), gain);
  graph.output('sample', graph.root.conv('c', scale(sample, 1 / gain), 4));
  const params: PackedParam[] = [...randomParams(graph)].map(([name, values]) =>
    pack(graph.params.get(name)!, values, 'f32'),
  );
  const weights = await backend.createWeights(graph.params.values(), 'f32');
  for (const param of params) await weights.set(param);
  weights.keepSource?.(async function* () {
    yield* params;
  });
  return backend.compile(graph, weights);
}

interface LoopHooks {
  before?(step: number): void;
  onStep?(step: number, vectors: Vectors): Promise<void>;
}

/** An ancestral sampler's loop: prediction, guidance, a step with new noise. */
async function loop(
  backend: Backend,
  program: Program,
  steps: number,
  hooks: LoopHooks = {},
): Promise<Float32Array> {
  const vectors = (await backend.createVectors!({ count: 3, shape }))!;
  vectors.write(0, randomNumbers(size, 1));
  for (let step = 0; step < steps; step++) {
    hooks.before?.(step);
    vectors.write(1, randomNumbers(size, 2 + step));
    const input = [{ from: 0, factor: 0.9 }];
    const running = vectors.evaluate(program, input, pictures, guidance, 2);
    await running;
    vectors.combine(0, [
      { from: 0, factor: 0.8 },
      { from: 2, factor: -0.1 },
      { from: 1, factor: 0.3 },
    ]);
    await hooks.onStep?.(step, vectors);
  }
  const result = await vectors.read(0);
  vectors.dispose();
  return result;
}
const guidance = { pulls, scale: 3, rescale: 0.5 };

describe('a denoising loop on the GPU', { skip: !gpu }, () => {
  test('reads nothing back, makes nothing after its first step, and frees all of it', async () => {
    const backend = await createRenewingBackend(open());
    const device = backend.current.device.gpu;
    const program = await predictor(backend);
    const { made, live } = countMade(device);
    const { GPUBuffer } = globalThis as unknown as { GPUBuffer: { prototype: GPUBuffer } };
    const { mapAsync } = GPUBuffer.prototype;
    let maps = 0;
    GPUBuffer.prototype.mapAsync = function (...args) {
      maps++;
      return mapAsync.apply(this, args);
    };
    try {
      for (let generation = 0; generation < 20; generation++) {
        let first: Record<string, number> | undefined;
        await loop(backend, program, 20, {
          onStep: async () => {
            first ??= { ...made };
            assert.deepEqual(made, first);
            assert.equal(maps, generation);
          },
        });
        assert.equal(live(), 0);
      }
      assert.equal(maps, 20);
    } finally {
      GPUBuffer.prototype.mapAsync = mapAsync;
    }
    await backend.dispose();
  });

  test('goes on where it was when its device is lost, from a copy or from its start', async () => {
    const undisturbed = await createRenewingBackend(open());
    const right = await loop(undisturbed, await predictor(undisturbed), 8);
    await undisturbed.dispose();
    for (const copyEvery of [0, Infinity])
      for (const fatal of [[0], [3], [7], [2, 5], [4, 4]]) {
        const backend = await createRenewingBackend(open(), copyEvery);
        const program = await predictor(backend);
        const left = [...fatal];
        const disturb = (step: number): void => {
          if (left[0] !== step) return;
          left.shift();
          backend.current.device.gpu.destroy();
        };
        const result = await loop(backend, program, 8, {
          before: disturb,
          onStep: async (step, vectors) => {
            if (fatal[0] === fatal[1]) disturb(step);
            // A preview at the worst of moments.
            if (step === 4) await vectors.read(0);
          },
        });
        assert.deepEqual(left, []);
        assert.deepEqual(result, right, `lost at ${fatal}, copies every ${copyEvery} ms`);
        assert.equal(backend.takeNotices().length, fatal.length);
        await backend.dispose();
      }
  });

  test('gives up at the third loss', async () => {
    const backend = await createRenewingBackend(open());
    const program = await predictor(backend);
    const run = loop(backend, program, 8, {
      before: () => backend.current.device.gpu.destroy(),
    });
    await assert.rejects(run, { code: 'DEVICE_LOST' });
    await backend.dispose();
  });

  test('is repeated in f32 where f16 overflows, with one notice', async () => {
    const exact = await createRenewingBackend(open());
    const right = await loop(exact, await predictor(exact), 6);
    await exact.dispose();
    for (const copyEvery of [0, Infinity]) {
      const backend = await createRenewingBackend(open({ storage: 'f16x2' }), copyEvery);
      const program = await predictor(backend, 1e6);
      for (const notices of [1, 1]) {
        assert.ok(relativeError(await loop(backend, program, 6), right) < 1e-5);
        assert.ok(backend.takeNotices().length <= notices);
      }
      await backend.dispose();
    }
  });

  test('stops when told to, and its program can be used again', async () => {
    const backend = await createRenewingBackend(open());
    const program = await predictor(backend);
    const vectors = (await backend.createVectors({ count: 2, shape }))!;
    const aborted = vectors.evaluate(
      program,
      [{ from: 0, factor: 1 }],
      pictures,
      guidance,
      1,
      AbortSignal.abort(),
    );
    await assert.rejects(aborted, { code: 'ABORTED' });
    vectors.dispose();
    assert.ok((await loop(backend, program, 2)).every(Number.isFinite));
    await backend.dispose();
  });
});
