import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { setFlagsFromString } from 'node:v8';
import { Worker } from 'node:worker_threads';
import type { Backend } from '../../sdk/backends/backend.ts';
import {
  createWasmBackend,
  type EngineThread,
  type WasmBackendOptions,
} from '../../sdk/backends/wasm/index.ts';

// Node 20 has relaxed SIMD behind a flag, and must be told before anything is compiled.
setFlagsFromString('--experimental-wasm-relaxed-simd');

function spawnThread(): EngineThread {
  const worker = new Worker(new URL('./engine-thread.mjs', import.meta.url));
  worker.unref();
  return {
    postMessage: (message) => worker.postMessage(message),
    terminate: () => worker.terminate(),
    addEventListener: (type, listener) => worker.on(type, listener),
  };
}

function binary(name: string): Uint8Array<ArrayBuffer> {
  const path = fileURLToPath(new URL(`../../build/wasm/${name}.wasm`, import.meta.url));
  return new Uint8Array(readFileSync(path));
}

/** The CPU engine in Node, from the binaries of `npm run build:wasm`. One thread unless told. */
export function nodeWasmBackend(
  options: Pick<WasmBackendOptions, 'threads' | 'simd'> = {},
): Promise<Backend> {
  return createWasmBackend({
    modules: { relaxed: binary('engine-relaxed'), plain: binary('engine-simd') },
    threads: options.threads ?? 1,
    simd: options.simd,
    spawnThread,
  });
}
