import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { brotliCompressSync, constants } from 'node:zlib';

const KIB = 1024;

export interface Sizes {
  readonly name: string;
  readonly files: readonly (readonly [file: string, size: number])[];
  readonly size: number;
  readonly limit: number;
}

/** As a server with static compression sends it. */
function brotli(file: string): number {
  const bytes = readFileSync(file);
  const params = { [constants.BROTLI_PARAM_LGWIN]: constants.BROTLI_MAX_WINDOW_BITS };
  return brotliCompressSync(bytes, { params }).length;
}

function sum(name: string, dist: string, files: readonly string[], limit: number): Sizes {
  const sizes = files.map((file) => [file, brotli(join(dist, file))] as const);
  return { name, files: sizes, size: sizes.reduce((all, [, size]) => all + size, 0), limit };
}

/** What a page loads at first. */
export const pageSide = (dist: string): Sizes => sum('page side', dist, ['index.js'], 12 * KIB);

/**
 * All that makes pictures: page, worker with its kernels, both builds of the engine and the tokenizer.
 * `inline.js` holds the same once more.
 */
export const everything = (dist: string): Sizes =>
  sum(
    'everything that makes pictures',
    dist,
    ['index.js', 'worker.js', 'wasm/engine.wasm', 'wasm/tokenizer.wasm'],
    109 * KIB,
  );

/** Entries of their own, that most pages leave out. */
export const extras = (dist: string): Sizes =>
  sum('extras', dist, ['element.js', 'parameters.js', 'react.js'], 10 * KIB);

/** CLIP's merges, fetched for a checkpoint that is one file and so came without them. */
export const vocabulary = (dist: string): Sizes =>
  sum('vocabulary', dist, ['clip-merges.txt'], 180 * KIB);
