import type { WasmModules } from '../../sdk/backends/wasm/index.ts';

/** Both builds of the engine, as `npm run build:wasm` makes them. */
export async function fetchBuilds(base: string): Promise<WasmModules> {
  const read = async (name: string): Promise<ArrayBuffer> =>
    (await fetch(new URL(`/build/wasm/${name}.wasm`, base))).arrayBuffer();
  return { relaxed: await read('engine-relaxed'), plain: await read('engine-simd') };
}
