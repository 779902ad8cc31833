import { setFlagsFromString } from 'node:v8';
import type { Backend } from '../../sdk/backends/backend.ts';
import { createReferenceBackend } from '../../sdk/backends/reference/index.ts';
import { nodeWasmBackend } from '../support/wasm-backend.ts';
import { createNodeWasmBackend } from './wasm-node.ts';

// Node 20 has relaxed SIMD behind this flag, later ones without.
if (Number(process.versions.node.split('.')[0]) < 22)
  setFlagsFromString('--experimental-wasm-relaxed-simd');

/** An engine for tests in Node. */
export async function createTestBackend(name: string): Promise<Backend> {
  switch (name) {
    case 'reference':
      return createReferenceBackend();
    case 'wasm':
      return nodeWasmBackend();
    case 'wasm':
      return createNodeWasmBackend();
    default:
      throw new Error(`no engine is called ${name}; choose reference, wasm or webgpu`);
  }
}
