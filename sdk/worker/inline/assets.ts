import wasm from 'virtual:wasm';
import type { Assets } from '../protocol.ts';

/**
 * The modules that came with the script; only CLIP's vocabulary, for single files, stays outside, and for a
 * worker of the app's own what the SDK's worker has inside.
 */
export const assets = (): Assets => ({
  wasm: Object.fromEntries(Object.entries(wasm).map(([name, base64]) => [name, decode(base64)])),
  merges: new URL('./clip-merges.txt', import.meta.url).href,
  formats: new URL('./formats.js', import.meta.url).href,
});

function decode(base64: string): ArrayBuffer {
  return Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0)).buffer;
}
