// dist/index.js is the page side, dist/worker.js what makes pictures, dist/formats.js what the worker imports
// when it is given other programs' files; each is one self-contained file, so that it also runs from a CDN,
// from a blob and in a nested worker.
import { cpSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { nodeResolve } from '@rollup/plugin-node-resolve';
import { transform } from 'esbuild';
import { parseAst } from 'rollup/parseAst';
import dts from 'rollup-plugin-dts';
import esbuild from 'rollup-plugin-esbuild';
import { minify } from 'terser';
import { minifyKernels } from './kernels/minify.mjs';

/** `import kernels from 'virtual:kernels'` gives the WGSL files by name, shortened. */
const kernels = () => ({
  name: 'kernels',
  resolveId: (id) => (id === 'virtual:kernels' ? id : null),
  load(id) {
    if (id !== 'virtual:kernels') return null;
    const sources = {};
    for (const file of readdirSync('kernels').filter((name) => name.endsWith('.wgsl'))) {
      this.addWatchFile(`kernels/${file}`);
      sources[file.slice(0, -'.wgsl'.length)] = readFileSync(`kernels/${file}`, 'utf8');
    }
    return `export default ${JSON.stringify(minifyKernels(sources))};`;
  },
});

/** `bytes` as a custom section of a WebAssembly module; no reader of modules looks into those. */
function customSection(name, bytes) {
  const length = (value) => (value < 128 ? [value] : [(value & 127) | 128, ...length(value >> 7)]);
  const content = Buffer.concat([Buffer.from([name.length]), Buffer.from(name), bytes]);
  return Buffer.concat([Buffer.from([0, ...length(content.length)]), content]);
}

/**
 * WebAssembly by file name. The CPU engine's two builds say almost the same, so they are one file: the
 * plain one, and the relaxed one in its last section, which ends with the length of that (see
 * sdk/worker/engines.ts). Compressed it is hardly longer than one of them.
 */
function wasmFiles() {
  const read = (name) => readFileSync(`build/wasm/${name}.wasm`);
  const relaxed = read('engine-relaxed');
  const length = Buffer.alloc(4);
  length.writeUInt32LE(relaxed.length);
  const section = customSection('relaxed', Buffer.concat([relaxed, length]));
  return {
    'engine.wasm': Buffer.concat([read('engine-simd'), section]),
    'tokenizer.wasm': read('tokenizer'),
  };
}

/** The worker that dist/inline.js holds as text. */
const INLINE_WORKER = 'build/inline/worker.js';

/**
 * For the script that brings everything along: the worker's text, with the formats in it, the WebAssembly,
 * and who uses them.
 */
const inline = () => ({
  name: 'inline',
  resolveId(id, from) {
    if (id === 'virtual:worker' || id === 'virtual:wasm') return id;
    const swapped = /^\.\/(?:worker\/)?(assets|formats|ladder)\.ts$/.exec(id);
    return swapped && /sdk\/(worker\/)?[\w-]+\.ts$/.test(from)
      ? resolve(`sdk/worker/inline/${swapped[1]}.ts`)
      : null;
  },
  load(id) {
    if (id === 'virtual:worker') {
      return `export default ${JSON.stringify(readFileSync(INLINE_WORKER, 'utf8'))};`;
    }
    if (id !== 'virtual:wasm') return null;
    const entries = Object.entries(wasmFiles()).map(([name, file]) => [
      name,
      file.toString('base64'),
    ]);
    return `export default ${JSON.stringify(Object.fromEntries(entries))};`;
  },
});

/**
 * comlink is always both of its sides, since either may send the other a function to call. Nothing here
 * does, so without that the page has the side that calls and the worker the side that answers.
 */
const oneSided = () => ({
  name: 'one-sided',
  transform(code, id) {
    if (!id.endsWith('comlink.mjs')) return null;
    const edits = [
      ['["proxy", proxyTransferHandler],', ''],
      ['new FinalizationRegistry', '/*@__PURE__*/ new FinalizationRegistry'],
    ];
    for (const [from] of edits) if (!code.includes(from)) this.error(`comlink has no ${from}`);
    return { code: edits.reduce((text, [from, to]) => text.replace(from, to), code), map: null };
  },
});

/** What TypeScript has proved constant need not be called so: `let` is shorter, and the same. */
function letForConst(code) {
  const starts = [];
  const visit = (node) => {
    if (node?.type === 'VariableDeclaration' && node.kind === 'const') starts.push(node.start);
    for (const value of Object.values(node ?? {})) if (typeof value === 'object') visit(value);
  };
  visit(parseAst(code));
  const parts = [0, ...starts].map((start, i) => code.slice(start, starts[i]));
  // As long as before, so that source maps hold.
  return parts.map((part, i) => (i === 0 ? part : part.replace('const', 'let  '))).join('');
}

/**
 * esbuild gives #private names one letter per class, terser finds 5 % that esbuild leaves; together they
 * are smaller than either. Licences stay.
 */
const small = () => ({
  name: 'small',
  renderChunk: async (code) => {
    const first = await transform(letForConst(code), {
      // White space is terser's: esbuild would drop comments with it.
      ...{ minifyIdentifiers: true, minifySyntax: true, target: 'es2022' },
      ...{ legalComments: 'inline', sourcemap: true },
    });
    const { code: minified, map } = await minify(first.code, {
      // Constants stay on the right of `===`, as elsewhere in the text: brotli finds more there.
      ...{ module: true, ecma: 2022, compress: { passes: 3, lhs_constants: false } },
      // Licences, and what tells bundlers to leave an import alone.
      ...{ format: { comments: /@license|@vite-ignore|webpackIgnore/ } },
      sourceMap: { content: first.map },
    });
    return { code: minified, map };
  },
});

const code = (input, file) => ({
  input,
  output: { file, format: 'es', sourcemap: true, inlineDynamicImports: true },
  plugins: [
    ...[nodeResolve({ browser: true }), oneSided(), kernels()],
    ...[esbuild({ target: 'es2022' }), small()],
  ],
  onwarn(warning, warn) {
    if (warning.code === 'UNRESOLVED_IMPORT') throw new Error(warning.message);
    warn(warning);
  },
});

const types = (input, file) => ({ input, output: { file, format: 'es' }, plugins: [dts()] });

/** Puts the modules that asc built, and CLIP's vocabulary, next to the scripts that load them. */
const copyAssets = () => ({
  name: 'copy-assets',
  writeBundle() {
    rmSync('dist/wasm', { recursive: true, force: true });
    mkdirSync('dist/wasm', { recursive: true });
    for (const [name, file] of Object.entries(wasmFiles()))
      writeFileSync(`dist/wasm/${name}`, file);
    cpSync('sdk/tokenizer/clip-merges.txt', 'dist/clip-merges.txt');
  },
});

/** `./element` and `./react` share the handle with whoever imports it from the package itself. */
const beside = () => ({
  name: 'beside',
  resolveId: (id) => (id === '../index.ts' ? { id: './index.js', external: true } : null),
});

const extra = (name) =>
  [code, types].map((kind) => {
    const suffix = kind === code ? 'js' : 'd.ts';
    const config = kind(`sdk/${name}/index.ts`, `dist/${name}.${suffix}`);
    config.plugins.unshift(beside());
    // Next.js: a hook runs in the browser only.
    if (kind === code && name === 'react') config.output.banner = "'use client';";
    return { ...config, external: ['react'] };
  });

const worker = code('sdk/worker/worker.ts', 'dist/worker.js');
worker.plugins.push(copyAssets());

const inlined = (input, file) => {
  const config = code(input, file);
  config.plugins.unshift(inline());
  // A map of the worker's text would be of no use, and longer than all else.
  config.output.sourcemap = false;
  return config;
};

export default [
  code('sdk/index.ts', 'dist/index.js'),
  code('sdk/parameters.ts', 'dist/parameters.js'),
  worker,
  code('sdk/formats/register.ts', 'dist/formats.js'),
  inlined('sdk/worker/worker.ts', INLINE_WORKER),
  inlined('sdk/index.ts', 'dist/inline.js'),
  types('sdk/index.ts', 'dist/index.d.ts'),
  types('sdk/parameters.ts', 'dist/parameters.d.ts'),
  types('sdk/worker/worker.ts', 'dist/worker.d.ts'),
  ...extra('element'),
  ...extra('react'),
];
