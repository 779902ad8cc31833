import type * as formats from '../formats/index.ts';

/** What reads the files of other programs; a module of its own, `dist/formats.js`. */
export type Formats = typeof formats;

/** Under this key of the global object `dist/formats.js` leaves what it gives. */
export const FORMATS = Symbol.for('stable-diffusion-web/formats');

/**
 * Gives the module, which is fetched when it is first asked for: pages whose model is a diffusers folder
 * with diffusers' own names never need it.
 * @throws SDError NETWORK, retryable; ABORTED
 */
export type LoadFormats = (signal?: AbortSignal) => Promise<Formats>;
