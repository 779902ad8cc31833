import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Guidance, Vectors } from '../../sdk/backends/backend.ts';
import { createWebGPUBackend } from '../../sdk/backends/webgpu/index.ts';
import { Graph } from '../../sdk/graph/index.ts';
import { interpret } from '../../sdk/graph/reference.ts';
import { guide } from '../../sdk/pipeline/guidance.ts';
import { openGPU, readKernels } from './webgpu-device.ts';
import { toNchw, toNhwc } from '../../sdk/pipeline/layout.ts';
import { pack, randomNumbers, randomParams, relativeError } from './webgpu-ops.ts';

const gpu = await openGPU();
const kernels = readKernels();
const shape = [2, 4, 5, 3] as const;
const size = 120;
const picture = 60;
const vector = (seed: number): Float32Array => randomNumbers(size, seed, 3);

function sum(...terms: readonly (readonly [number, Float32Array])[]): Float32Array {
  return new Float32Array(size).map((_, i) => terms.reduce((t, [f, x]) => t + f * x[i], 0));
}

describe('latents on the GPU', { skip: !gpu }, () => {
  test('are summed, into one of themselves too, and blended by a mask', async () => {
    const backend = await createWebGPUBackend({ gpu, kernels });
    const mask = Float32Array.from({ length: 15 }, (_, i) => (i % 4) / 3);
    for (const masked of [false, true]) {
      const options = { count: 3, shape, mask: masked ? mask : undefined };
      const vectors = (await backend.createVectors(options))!;
      const [a, b] = [vector(1), vector(2)];
      vectors.write(0, a);
      vectors.write(1, b);
      const inside = [
        { from: 0, factor: 0.7 },
        { from: 1, factor: -1.3 },
      ];
      vectors.combine(1, inside, [{ from: 1, factor: 2 }]);
      // Without another sum for the outside the mask says nothing.
      vectors.combine(2, [{ from: 1, factor: 1 }]);
      const [in1, out1] = [sum([0.7, a], [-1.3, b]), sum([2, b])];
      const right = masked
        ? in1.map((x, i) => mask[i % 15] * x + (1 - mask[i % 15]) * out1[i])
        : in1;
      assert.ok(relativeError(await vectors.read(1), right) < 1e-6);
      assert.ok(relativeError(await vectors.read(2), right) < 1e-6);
      vectors.dispose();
    }
    await backend.dispose();
  });

  for (const storage of ['f32', 'f16', 'f16x2'] as const)
    test(`go through a program and come back guided, ${storage}`, async () => {
      const backend = await createWebGPUBackend({ gpu, kernels, storage });
      const extra = randomNumbers(2 * 5 * 15, 9);
      for (const more of [0, 5]) {
        const options = { count: 2, shape, extra: more ? extra : undefined };
        const vectors: Vectors = (await backend.createVectors(options))!;
        const channels = 4 + more;
        const x = vector(3);
        vectors.write(0, x);
        for (const [rows, guidance] of [
          [[0, 1], undefined],
          [[0, 1, 0, 1], { pulls: [one(0), one(1)], scale: 7.5, rescale: 0 }],
          [[0, 1, 0, 1, 1], { pulls: [one(0), one(1, 0.4), one(1, -0.9)], scale: 4, rescale: 0.7 }],
        ] as const) {
          const graph = new Graph();
          const sample = graph.input('sample', [rows.length, 5, 3, channels]);
          graph.output('sample', graph.root.conv('c', sample, 4));
          const params = randomParams(graph);
          const weights = await backend.createWeights(graph.params.values(), 'f32');
          for (const param of graph.params.values())
            await weights.set(pack(param, params.get(param.name)!, 'f32'));
          const program = await backend.compile(graph, weights);
          await vectors.evaluate(program, [{ from: 0, factor: 0.5 }], rows, guidance, 1);

          const input = rows.flatMap((p) => [
            ...x.subarray(p * picture, (p + 1) * picture).map((v) => 0.5 * v),
            ...(more ? extra.subarray(p * 75, (p + 1) * 75) : []),
          ]);
          const nhwc = toNhwc(Float32Array.from(input), [rows.length, channels, 5, 3]);
          const made = interpret(graph, params, new Map([['sample', nhwc]])).get('sample')!;
          const output = toNchw(Float32Array.from(made), [rows.length, 4, 5, 3]);
          const { pulls = [], scale: by = 1, rescale = 0 } = (guidance ?? {}) as Partial<Guidance>;
          const right = guidance ? guide(output, 2, pulls, by, rescale) : output;
          const error = relativeError(await vectors.read(1), right);
          assert.ok(error < (storage === 'f32' ? 3e-6 : 2e-2), `${rows}: ${error}`);
          program.dispose();
          weights.dispose();
        }
        vectors.dispose();
      }
      await backend.dispose();
    });

  test('that are too many or too large are left to the host', async () => {
    const backend = await createWebGPUBackend({ gpu, kernels, maxBinding: 4096 });
    assert.equal(await backend.createVectors({ count: 33, shape }), undefined);
    assert.equal(await backend.createVectors({ count: 2, shape: [1, 4, 32, 32] }), undefined);
    await backend.dispose();
  });
});

const one = (of: number, weight = 1): { picture: number; weight: number } => ({
  picture: of,
  weight,
});
