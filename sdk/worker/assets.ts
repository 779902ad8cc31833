import type { Assets } from './protocol.ts';

/**
 * Each file as the literal that bundlers look for; they copy it and put its new address here. The
 * page resolves them, since a worker that was started from a blob has no address to start from.
 */
export const assets = (): Assets => ({
  wasm: {
    'engine.wasm': new URL('./wasm/engine.wasm', import.meta.url).href,
    'tokenizer.wasm': new URL('./wasm/tokenizer.wasm', import.meta.url).href,
  },
  merges: new URL('./clip-merges.txt', import.meta.url).href,
  formats: new URL('./formats.js', import.meta.url).href,
});
