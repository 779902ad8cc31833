import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { createWebGPUBackend, type WebGPUOptions } from '../../sdk/backends/webgpu/index.ts';
import { fits, TILE_NAMES } from '../../sdk/backends/webgpu/tiles.ts';
import type { WeightDtype } from '../../sdk/backends/backend.ts';
import { Graph } from '../../sdk/graph/index.ts';
import { openGPU, readKernels } from './webgpu-device.ts';
import { attentions, convolutions, others, products, type Case } from './webgpu-cases.ts';
import { complaints, modulesOf } from './webgpu-modules.ts';
import { compare } from './webgpu-ops.ts';

const gpu = await openGPU();
const kernels = readKernels();

/** What each way of storing may cost, as relative RMS against float64 on unrounded weights. */
const LIMITS: Readonly<Record<WeightDtype, number>> = { f32: 1e-5, f16: 2e-3, i8: 2e-2 };

function lane(name: string, options: Partial<WebGPUOptions>, dtype: WeightDtype, cases: Case[]) {
  describe(name, { skip: !gpu }, () => {
    const opened = gpu
      ? createWebGPUBackend({ gpu, kernels, defaultLimits: true, ...options })
      : undefined;
    after(async () => (await opened)?.dispose());
    for (const { title, build, inputs } of cases)
      test(title, async () => {
        const graph = new Graph();
        build(graph);
        const error = await compare((await opened)!, graph, dtype, {
          inputs: inputs?.(graph),
        });
        assert.ok(error <= LIMITS[dtype], `relative RMS error ${error}`);
      });
  });
}

const matrices = [...products, ...convolutions];
const all = [...matrices, ...attentions, ...others];
const isCore = ({ core }: Case): boolean => core === true;
const core = [...matrices, ...attentions].filter(isCore);

lane('f32', { storage: 'f32' }, 'f32', all);
lane('native f16', { storage: 'f16' }, 'f16', [...core, ...others]);
lane('f16 in pairs', { storage: 'f16x2' }, 'f16', [...core, ...others]);
lane('int8 weights', { storage: 'f32' }, 'i8', matrices.filter(isCore));
lane('int8 weights, f16 activations', { storage: 'f16x2' }, 'i8', matrices.filter(isCore));
lane('norms applied by a step of their own', { storage: 'f32', norm: 'apply' }, 'f32', [
  ...matrices.filter(isCore),
]);
lane(
  'reductions and attention without subgroups',
  { storage: 'f32', subgroups: false },
  'f32',
  [...attentions, ...others].filter(({ title }) => /norm|attention/.test(title)),
);
lane('dispatches of little work', { storage: 'f32', maxFlops: 1000 }, 'f32', all);
lane(
  'bindings and buffers smaller than most tensors',
  { storage: 'f16x2', maxBinding: 4096, maxBuffer: 65536 },
  'f16',
  convolutions.filter(({ windows }) => windows),
);

for (const tile of TILE_NAMES)
  for (const splits of tile === '32x32' || tile === '32x64' ? [3] : [1])
    lane(
      `tile ${tile}, ${splits} parts`,
      {
        storage: 'f32',
        choose: ({ geglu }) => ({ tile: fits(tile, geglu) ? tile : '32x64', splits }),
      },
      'f32',
      matrices.filter(isCore),
    );

lane(
  'a head in the registers of one thread, loops written out',
  { storage: 'f32', headWords: 16, unroll: true },
  'f32',
  [...attentions.filter(({ title }) => title.endsWith(' 40')), ...products.filter(isCore)],
);

test('the compiler takes every kernel in every form', { skip: !gpu }, async () => {
  const backend = await createWebGPUBackend({ gpu, kernels });
  assert.ok(backend.device.subgroupSize >= 4, 'this adapter has subgroups');
  for (const [storage, weights] of [
    ['f32', 'i8'],
    ['f16', 'f16'],
    ['f16x2', 'f32'],
  ] as const) {
    for (const subgroupSize of new Set([0, backend.device.subgroupSize])) {
      const modules = modulesOf(all, kernels, storage, weights, subgroupSize);
      assert.ok(modules.size > 100);
      assert.deepEqual(await complaints(backend.device.gpu, modules), []);
    }
  }
  await backend.dispose();
});
