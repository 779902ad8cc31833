import type { Backend } from '../backends/backend.ts';
import { createWasmBackend } from '../backends/wasm/index.ts';
import { SDError } from '../errors.ts';
import type { Assets, LoadRequest } from './protocol.ts';

/** The name of a worker that is a thread of the CPU engine, not a model's own. */
export const THREAD = 'stable-diffusion-web/thread';

export interface Engine {
  readonly backend: Backend;
  /** Why the engine is not the one that `auto` would rather take. */
  readonly notices: string[];
}

/** Starts the engine that was asked for. @throws SDError BACKEND_UNAVAILABLE, NETWORK */
export async function startEngine(
  { backend, threads }: Pick<LoadRequest, 'backend' | 'threads'>,
  assets: Assets,
): Promise<Engine> {
  if (backend === 'webgpu')
    throw new SDError('BACKEND_UNAVAILABLE', 'The WebGPU engine is not part of this build.');
  const { wasm } = assets;
  const engine = await createWasmBackend({
    modules: { relaxed: wasm['engine-relaxed.wasm'], plain: wasm['engine-simd.wasm'] },
    threads,
    spawnThread,
  });
  return { backend: engine, notices: [] };
}

/**
 * Another worker from the very script that runs here, whatever a bundler made of it; a second literal
 * `new URL('./worker.js')` would make bundlers follow the worker into itself.
 */
function spawnThread(): Worker {
  return new Worker(self.location.href, { type: isClassic() ? 'classic' : 'module', name: THREAD });
}

/** Some bundlers make classic scripts of module workers; only there may this be called. */
function isClassic(): boolean {
  try {
    importScripts();
    return true;
  } catch {
    return false;
  }
}
