import { readFileSync } from 'node:fs';
import type { Backend } from '../../sdk/backends/backend.ts';
import { createWasmBackend, type SimdChoice } from '../../sdk/backends/wasm/index.ts';

const built = (name: string): Uint8Array =>
  readFileSync(new URL(`../../build/wasm/${name}`, import.meta.url));

/** The CPU engine as built, on one thread: the models of the tests are tiny. */
export function createNodeWasmBackend(simd: SimdChoice = 'auto'): Promise<Backend> {
  const modules = { relaxed: built('engine-relaxed.wasm'), plain: built('engine-simd.wasm') };
  return createWasmBackend({ modules, simd, threads: 1 });
}
