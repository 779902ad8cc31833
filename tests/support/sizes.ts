import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { brotliCompressSync, constants } from 'node:zlib';

export interface Sizes {
  readonly name: string;
  /** In bytes, as a server with static compression sends them. */
  readonly files: readonly (readonly [file: string, size: number])[];
  readonly size: number;
  readonly limit: number;
}

const KIB = 1024;

const BUCKETS: readonly (readonly [name: string, limit: number, files: readonly string[]])[] = [
  // What a page loads at first.
  ['page side', 12 * KIB, ['index.js']],
  // Page, worker with its kernels, both builds of the engine and the tokenizer. `inline.js` holds the
  // same once more.
  [
    'everything that makes pictures',
    100_000,
    ['index.js', 'worker.js', 'wasm/engine.wasm', 'wasm/tokenizer.wasm'],
  ],
  // Other programs' files: fetched when the first of them is opened.
  ['formats', 16_000, ['formats.js']],
  // Entries of their own, that most pages leave out.
  ['extras', 10 * KIB, ['element.js', 'parameters.js', 'react.js']],
  // CLIP's merges, fetched for a checkpoint that is one file and so came without them.
  ['vocabulary', 180 * KIB, ['clip-merges.txt']],
];

function brotli(file: string): number {
  const bytes = readFileSync(file);
  const params = { [constants.BROTLI_PARAM_LGWIN]: constants.BROTLI_MAX_WINDOW_BITS };
  return brotliCompressSync(bytes, { params }).length;
}

/** What is downloaded of the package in `dist`, and what it may be at most. */
export const sizes = (dist: string): Sizes[] =>
  BUCKETS.map(([name, limit, files]) => {
    const each = files.map((file) => [file, brotli(join(dist, file))] as const);
    return { name, files: each, size: each.reduce((all, [, size]) => all + size, 0), limit };
  });
