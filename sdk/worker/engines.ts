import { get, set } from 'idb-keyval';
import kernels from 'virtual:kernels';
import type { Backend } from '../backends/backend.ts';
import { createWasmBackend, type WasmModules } from '../backends/wasm/index.ts';
import { createWebGPUBackend } from '../backends/webgpu/index.ts';
import { createRenewingBackend, type RenewingBackend } from '../backends/webgpu/renewal.ts';
import { modelStore } from '../cache/index.ts';
import { SDError } from '../errors.ts';
import { assetBytes } from './asset-bytes.ts';
import type { Assets, LoadRequest } from './protocol.ts';
import type { CallContext } from './serve.ts';
import { trusted } from './start.ts';

/** The name of a worker that is a thread of the CPU engine, not a model's own. */
export const THREAD = 'stable-diffusion-web/thread';

/**
 * `new Worker` returns at once (ms). In Firefox 153, on a busy machine, a worker that makes another one now
 * and then never comes back from it (2 of some 200 loads), and its own timers fire no more.
 */
const MAKING_THREAD = 3000;
/** Longer than the ten seconds after which a thread that does not answer is left out. */
const STARTING_THREAD = 15_000;

export interface Engine {
  readonly backend: Backend;
  /** Why the engine is not the one that `auto` would rather take. */
  readonly notices: string[];
}

/**
 * Starts the engine that was asked for; `auto` takes the GPU where there is a real one.
 * @throws SDError BACKEND_UNAVAILABLE, NETWORK
 */
export async function startEngine(
  { backend, threads }: Pick<LoadRequest, 'backend' | 'threads'>,
  assets: Assets,
  context: Pick<CallContext, 'signal' | 'onAlive'>,
): Promise<Engine> {
  if (backend === 'webgpu') return { backend: await startGpu(), notices: [] };
  const cpu = () => startCpu(threads, assets, context);
  if (backend === 'wasm') return { backend: await cpu(), notices: [] };
  let gpu: RenewingBackend;
  try {
    gpu = await startGpu();
  } catch (error) {
    if (!(error instanceof SDError) || error.code !== 'BACKEND_UNAVAILABLE') throw error;
    return { backend: await cpu(), notices: [`The CPU is used: ${error.message}`] };
  }
  if (!gpu.current.device.isSlow) return { backend: gpu, notices: [] };
  // A GPU that a CPU plays is slower than that CPU itself.
  await gpu.dispose();
  return { backend: await cpu(), notices: ['The CPU is used: this device has no real GPU.'] };
}

/** What the tuner measured is kept apart from models: deleting those does not make a GPU unknown. */
function startGpu(): Promise<RenewingBackend> {
  const kept = modelStore({ name: 'stable-diffusion-web-tuning' });
  const store = {
    get: (key: string) => get<unknown>(key, kept),
    set: (key: string, value: unknown) => set(key, value, kept),
  };
  return createRenewingBackend(() => createWebGPUBackend({ kernels, store }));
}

async function startCpu(
  threads: number | undefined,
  { wasm }: Assets,
  { signal, onAlive }: Pick<CallContext, 'signal' | 'onAlive'>,
): Promise<Backend> {
  const modules = engineBuilds(await assetBytes(wasm['engine.wasm'], signal));
  const spawn = (): Worker => {
    onAlive(MAKING_THREAD);
    const thread = spawnThread();
    onAlive(STARTING_THREAD);
    return thread;
  };
  try {
    return await createWasmBackend({ modules, threads, spawnThread: spawn });
  } finally {
    onAlive(0);
  }
}

/** The file is the plain build; its last section ends with the relaxed one and that one's length. */
function engineBuilds(file: ArrayBuffer): WasmModules {
  const end = file.byteLength - 4;
  const length = new DataView(file).getUint32(end, true);
  return { plain: file, relaxed: file.slice(end - length, end) };
}

/**
 * Another worker from the very script that runs here, whatever a bundler made of it; a second literal
 * `new URL('./worker.js')` would make bundlers follow the worker into itself.
 */
function spawnThread(): Worker {
  return new Worker(trusted(self.location.href), {
    type: isClassic() ? 'classic' : 'module',
    name: THREAD,
  });
}

/**
 * Some bundlers make classic scripts of module workers; only there may this be called. As a property,
 * since Parcel refuses a module that calls it by its name.
 */
function isClassic(): boolean {
  try {
    (self as unknown as { importScripts(): void }).importScripts();
    return true;
  } catch {
    return false;
  }
}
