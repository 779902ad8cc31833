import { KERNELS } from '../../sdk/backends/webgpu/kernels.ts';
import { createWebGPUBackend } from '../../sdk/backends/webgpu/index.ts';
import { Graph } from '../../sdk/graph/index.ts';
import { attentions, convolutions, others, products } from '../parity/webgpu-cases.ts';
import { complaints, modulesOf } from '../parity/webgpu-modules.ts';
import { compare } from '../parity/webgpu-ops.ts';
import { equal, ok } from './assert.ts';

/** Every file that a kernel may be made of. */
const files = new Set([
  ...Object.values(KERNELS).flatMap((kernel) => [...kernel.files] as string[]),
  ...['storage-f32', 'storage-f16', 'storage-f16x2', 'weights-f32', 'weights-f16', 'weights-i8'],
  ...['reduce-subgroups', 'neighbours-subgroups'],
]);
files.delete('storage');
files.delete('weights');

async function readKernels(): Promise<Record<string, string>> {
  const read = async (name: string) =>
    [name, await (await fetch(`/kernels/${name}.wgsl`)).text()] as const;
  return Object.fromEntries(await Promise.all([...files].map(read)));
}

// Chromium's compiler on SwiftShader (no f16, subgroups of 4); Firefox's, naga, on lavapipe.
describe('the GPU engine in this browser', () => {
  it('finds an adapter', async () => {
    ok(await navigator.gpu?.requestAdapter(), 'no WebGPU adapter');
  });

  it('compiles every kernel in every form', async () => {
    const backend = await createWebGPUBackend({ kernels: await readKernels() });
    const sources = await readKernels();
    const { gpu } = backend.device;
    for (const storage of ['f32', 'f16x2', 'f16'] as const) {
      if (storage === 'f16' && !gpu.features.has('shader-f16')) continue;
      const cases = [...products, ...convolutions, ...attentions, ...others];
      for (const subgroupSize of new Set([0, backend.device.subgroupSize])) {
        const weights = storage === 'f32' ? 'i8' : 'f16';
        const modules = modulesOf(cases, sources, storage, weights, subgroupSize);
        equal(await complaints(gpu, modules), []);
      }
    }
    await backend.dispose();
  });

  const core = [...products, ...convolutions, ...attentions].filter((one) => one.core);
  const small = others.filter(({ title }) => /norm of|sinusoid|spread|embedding/.test(title));
  const split = attentions.filter(({ title }) => title.endsWith(' 64'));
  const runs = [
    ...[...core, ...small].map((one) => ({ ...one, subgroups: true })),
    ...[...split, ...small].map((one) => ({
      ...one,
      title: `${one.title}, without subgroups`,
      subgroups: false,
    })),
  ];
  for (const { title, build, inputs, subgroups } of runs)
    it(title, async () => {
      const sources = await readKernels();
      const backend = await createWebGPUBackend({ kernels: sources, storage: 'f32', subgroups });
      const graph = new Graph();
      build(graph);
      const error = await compare(backend, graph, 'f32', { inputs: inputs?.(graph) });
      ok(error <= 1e-5, `relative RMS error ${error}`);
      await backend.dispose();
    });
});
