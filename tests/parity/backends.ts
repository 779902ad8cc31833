import type { Backend } from '../../sdk/backends/backend.ts';
import { createReferenceBackend } from '../../sdk/backends/reference/index.ts';
import { createWebGPUBackend } from '../../sdk/backends/webgpu/index.ts';
import { nodeWasmBackend } from '../support/wasm-backend.ts';
import { openGPU, readKernels } from './webgpu-device.ts';

/** An engine for tests in Node. */
export async function createTestBackend(name: string): Promise<Backend> {
  switch (name) {
    case 'reference':
      return createReferenceBackend();
    case 'wasm':
      return nodeWasmBackend();
    case 'webgpu': {
      const gpu = await openGPU();
      if (!gpu) throw new Error('there is no WebGPU adapter here');
      return createWebGPUBackend({ gpu, kernels: readKernels(), storage: 'f32' });
    }
    default:
      throw new Error(`no engine is called ${name}; choose reference, wasm or webgpu`);
  }
}
