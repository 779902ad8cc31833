// Compiles every WebAssembly module of the SDK: `node wasm/build.mjs [name …]`.
// A module is one entry of MODULES; its output is build/wasm/<name>.wasm.
import { mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import asc from 'assemblyscript/asc';

const here = dirname(fileURLToPath(import.meta.url));
const out = join(here, '..', 'build', 'wasm');

// `--runtime stub`: no garbage collector; each module manages its memory by plain pointers.
const COMMON = ['--noAssert', '--runtime', 'stub'];

// The engine's memory is made by the page and shared by its threads.
const ENGINE = ['--enable', 'simd', '--enable', 'threads', '--importMemory', '--sharedMemory']
  .concat(['--initialMemory', '3', '--maximumMemory', '65536', '--memoryBase', '2048'])
  .concat(['--zeroFilledMemory', '-O3'])
  // v128 never crosses into JavaScript (112), and pointers are 32 bits wide here (201).
  .concat(['--disableWarning', '112', '--disableWarning', '201']);

/** name: file name of the output; entry: relative to this folder; flags: added to COMMON. */
const MODULES = [
  // Small: a prompt is encoded once, and -O3 makes that no faster.
  { name: 'tokenizer', entry: 'tokenizer/index.ts', flags: ['-Oz'] },
  {
    name: 'engine-relaxed',
    entry: 'engine/index.ts',
    flags: [...ENGINE, '--enable', 'relaxed-simd'],
  },
  { name: 'engine-simd', entry: 'engine/index.ts', flags: ENGINE },
];

const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !MODULES.some((module) => module.name === name));
if (unknown.length > 0) {
  console.error(`wasm/build.mjs: no module named ${unknown.join(', ')}`);
  process.exit(1);
}
mkdirSync(out, { recursive: true });
for (const { name, entry, flags } of MODULES) {
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  const { error, stdout, stderr } = await asc.main(
    [join(here, entry), '--outFile', join(out, `${name}.wasm`), ...COMMON, ...flags],
    { stdout: asc.createMemoryStream(), stderr: asc.createMemoryStream() },
  );
  process.stdout.write(stdout.toString());
  process.stderr.write(stderr.toString());
  if (error) {
    console.error(`wasm/build.mjs: ${name} failed: ${error.message}`);
    process.exit(1);
  }
}
