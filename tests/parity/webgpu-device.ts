import { existsSync, mkdtempSync, readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { minifyKernels } from '../../kernels/minify.mjs';
import type { KernelSources } from '../../sdk/backends/webgpu/index.ts';

/** Dawn for Node on Mesa's software Vulkan driver; `SD_TEST_VK_DRIVER` names another driver file. */
const DRIVERS = [
  '/usr/share/vulkan/icd.d/lvp_icd.json',
  '/usr/share/vulkan/icd.d/lvp_icd.x86_64.json',
];

/** The WGSL files of `kernels/` as they are written. */
export function kernelFiles(): KernelSources {
  const folder = new URL('../../kernels/', import.meta.url);
  const files = readdirSync(folder).filter((name) => name.endsWith('.wgsl'));
  return Object.fromEntries(
    files.map((name) => [name.slice(0, -5), readFileSync(new URL(name, folder), 'utf8')]),
  );
}

/** The kernels as they are in the package. */
export const readKernels = (): KernelSources => minifyKernels(kernelFiles());

/**
 * WebGPU in Node, or undefined (with the reason printed) where there is none.
 * @throws Error instead when CI is set: there a missing adapter is a failure
 */
export async function openGPU(): Promise<GPU | undefined> {
  const driver = process.env.SD_TEST_VK_DRIVER ?? DRIVERS.find((path) => existsSync(path));
  // The variables must be set before the Vulkan loader starts.
  if (driver) process.env.VK_DRIVER_FILES = driver;
  // Four lanes instead of eight: lavapipe then compiles three times faster.
  process.env.LP_NATIVE_VECTOR_WIDTH ??= '128';
  process.env.XDG_RUNTIME_DIR ??= mkdtempSync(join(tmpdir(), 'webgpu-'));
  const { create, globals } = await import('webgpu');
  Object.assign(globalThis, globals);
  const gpu = create(['backend=vulkan']);
  if (await gpu.requestAdapter()) return gpu;
  const reason = `no WebGPU adapter: install Mesa's lavapipe 25 (.ci/install-browsers.sh)`;
  if (process.env.CI) throw new Error(reason);
  console.log(`skipped: ${reason}`);
  return undefined;
}

/** Counts calls of everything that makes a GPU object, and buffers that were destroyed. */
export function countMade(device: GPUDevice): { made: Record<string, number>; live: () => number } {
  const made: Record<string, number> = {};
  let destroyed = 0;
  const target = device as unknown as Record<string, (...args: unknown[]) => unknown>;
  for (const name of [
    'createBuffer',
    'createBindGroup',
    'createBindGroupLayout',
    'createPipelineLayout',
    'createShaderModule',
    'createComputePipeline',
    'createComputePipelineAsync',
  ]) {
    const original = target[name].bind(device);
    made[name] = 0;
    target[name] = (...args) => {
      made[name]++;
      const object = original(...args);
      if (name === 'createBuffer') {
        const buffer = object as GPUBuffer;
        const destroy = buffer.destroy.bind(buffer);
        buffer.destroy = () => {
          destroyed++;
          return destroy();
        };
      }
      return object;
    };
  }
  return { made, live: () => made.createBuffer - destroyed };
}
