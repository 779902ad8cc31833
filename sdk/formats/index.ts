/**
 * Whatever reads files that are not diffusers' own: `dist/formats.js`, which the worker imports when it is
 * first given a torch checkpoint, a single file, weights under other names, a LoRA or a textual inversion.
 */
export { readEmbeddings, withEmbeddings } from './embeddings.ts';
export { filePart } from './file-part.ts';
export { Loras } from './loras.ts';
export { resolveNames } from './names/resolve.ts';
export { openSingleFile } from './single-file.ts';
export { openForeign } from './open.ts';
export { VERSION } from '../version.ts';
