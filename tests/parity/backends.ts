import type { Backend } from '../../sdk/backends/backend.ts';
import { createReferenceBackend } from '../../sdk/backends/reference/index.ts';
import { nodeWasmBackend } from '../support/wasm-backend.ts';

/** An engine for tests in Node. */
export async function createTestBackend(name: string): Promise<Backend> {
  switch (name) {
    case 'reference':
      return createReferenceBackend();
    case 'wasm':
      return nodeWasmBackend();
    default:
      throw new Error(`no engine is called ${name}; choose reference, wasm or webgpu`);
  }
}
