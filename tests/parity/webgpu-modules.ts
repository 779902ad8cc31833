import type { WeightDtype } from '../../sdk/backends/backend.ts';
import { layOutParams, type Storage } from '../../sdk/backends/webgpu/layout.ts';
import { Lowering } from '../../sdk/backends/webgpu/lowering.ts';
import { filesOf } from '../../sdk/backends/webgpu/pipelines.ts';
import { specialise, type KernelSources } from '../../sdk/backends/webgpu/shader.ts';
import { fits, TILE_NAMES } from '../../sdk/backends/webgpu/tiles.ts';
import { Graph } from '../../sdk/graph/index.ts';
import type { Case } from './webgpu-cases.ts';

/** Every module that some graphs lead to, with every tile, as a real GPU gets it: written out. */
export function modulesOf(
  cases: readonly Case[],
  sources: KernelSources,
  storage: Storage,
  weights: WeightDtype,
  subgroupSize = 0,
): Map<string, string> {
  const modules = new Map<string, string>();
  const alone = [
    ...[true, false].map((MASKED) => ({ kernel: 'combine' as const, constants: { MASKED } })),
    ...(['feed', 'guide', 'rescale'] as const).map((kernel) => ({ kernel, constants: {} })),
  ];
  for (const one of alone) {
    const files = filesOf(one, storage, subgroupSize);
    const code = specialise(sources, files, one.constants, { unroll: true });
    modules.set(code, one.kernel);
  }
  const limits = { storage, maxBuffer: 2 ** 28, maxBinding: 2 ** 27 };
  for (const { build } of cases) {
    const graph = new Graph();
    build(graph);
    const { slots } = layOutParams(graph.params.values(), weights, limits.maxBuffer);
    for (const tile of TILE_NAMES)
      for (const splits of [1, 2]) {
        const { once, perStep } = new Lowering(limits, graph, slots, {
          norm: 'loader',
          maxFlops: Infinity,
          headWords: 16,
          choose: ({ geglu }) => ({ tile: fits(tile, geglu) ? tile : '32x64', splits }),
        });
        for (const dispatch of [...once, ...perStep]) {
          const { kernel, constants } = dispatch;
          const files = filesOf(dispatch, storage, subgroupSize);
          const code = specialise(sources, files, constants, { unroll: true });
          modules.set(code, kernel);
        }
      }
  }
  return modules;
}

/** What the browser's WGSL compiler says against any of them. */
export async function complaints(
  device: GPUDevice,
  modules: ReadonlyMap<string, string>,
): Promise<string[]> {
  const found: string[] = [];
  for (const [code, entry] of modules) {
    const info = await device.createShaderModule({ code }).getCompilationInfo();
    for (const { type, lineNum, message } of info.messages)
      if (type === 'error') found.push(`${entry}:${lineNum} ${message}`);
  }
  return found;
}
