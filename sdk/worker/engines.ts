import { get, set } from 'idb-keyval';
import kernels from 'virtual:kernels';
import type { Backend } from '../backends/backend.ts';
import { createWasmBackend, type EngineThread, type WasmModules } from '../backends/wasm/index.ts';
import { createWebGPUBackend } from '../backends/webgpu/index.ts';
import { createRenewingBackend, type RenewingBackend } from '../backends/webgpu/renewal.ts';
import { modelStore } from '../cache/index.ts';
import { isSDError } from '../errors.ts';
import { assetBytes } from './asset-bytes.ts';
import type { Assets, LoadRequest } from './protocol.ts';
import type { CallContext } from './serve.ts';

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
  context: Pick<CallContext, 'signal' | 'makeThread'>,
): Promise<Engine> {
  if (backend === 'webgpu') return { backend: await startGpu(), notices: [] };
  const cpu = () => startCpu(threads, assets, context);
  if (backend === 'wasm') return { backend: await cpu(), notices: [] };
  let gpu: RenewingBackend;
  try {
    gpu = await startGpu();
  } catch (error) {
    if (!isSDError(error) || error.code !== 'BACKEND_UNAVAILABLE') throw error;
    return { backend: await cpu(), notices: [`The CPU is used. ${error.message}`] };
  }
  if (!gpu.current.device.isSlow) return { backend: gpu, notices: [] };
  // A GPU that a CPU plays is slower than that CPU itself.
  await gpu.dispose();
  return { backend: await cpu(), notices: ['The CPU is used. This device has no real GPU.'] };
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
  { signal, makeThread }: Pick<CallContext, 'signal' | 'makeThread'>,
): Promise<Backend> {
  const modules = engineBuilds(await assetBytes(wasm['engine.wasm'], signal));
  return createWasmBackend({ modules, threads, spawnThread: () => threadOfPage(makeThread) });
}

/** The file is the plain build; its last section ends with the relaxed one and that one's length. */
function engineBuilds(file: ArrayBuffer): WasmModules {
  const end = file.byteLength - 4;
  const length = new DataView(file).getUint32(end, true);
  return { plain: file, relaxed: file.slice(end - length, end) };
}

/**
 * A thread that the page makes: in Firefox 153 a worker that makes one itself may hang for ever in
 * `new Worker` (10 of some 480 loads on a busy machine, scripts of a few lines; none of 240 in a page).
 */
function threadOfPage(makeThread: CallContext['makeThread']): Promise<EngineThread> {
  const { port1: port, port2 } = new MessageChannel();
  makeThread(port2);
  return new Promise((done, fail) => {
    port.onmessage = ({ data }) => {
      if (data !== 'up') return fail(new Error('The page could not make a thread.'));
      done({
        postMessage: (start) => port.postMessage(start),
        terminate: () => port.postMessage(null),
        addEventListener: (type, listener) => port.addEventListener(type, listener),
      });
    };
  });
}
