// dist/index.js is the page side, dist/worker.js everything else; each is one self-contained file,
// so that it also runs from a CDN, from a blob and in a nested worker.
import { cpSync, mkdirSync, readdirSync } from 'node:fs';
import { nodeResolve } from '@rollup/plugin-node-resolve';
import dts from 'rollup-plugin-dts';
import esbuild from 'rollup-plugin-esbuild';

/** `import source from './gemm.wgsl'` gives the text, without its comments and indentation. */
const wgsl = () => ({
  name: 'wgsl',
  transform(text, id) {
    if (!id.endsWith('.wgsl')) return null;
    const short = text
      .replace(/\/\/.*$/gm, '')
      .replace(/\s*\n\s*/g, '\n')
      .trim();
    return { code: `export default ${JSON.stringify(short)};`, map: { mappings: '' } };
  },
});

const code = (input, file) => ({
  input,
  output: { file, format: 'es', sourcemap: true, inlineDynamicImports: true },
  plugins: [nodeResolve({ browser: true }), wgsl(), esbuild({ target: 'es2022', minify: true })],
  onwarn(warning, warn) {
    if (warning.code === 'UNRESOLVED_IMPORT') throw new Error(warning.message);
    warn(warning);
  },
});

const types = (input, file) => ({ input, output: { file, format: 'es' }, plugins: [dts()] });

/** Puts the modules that asc built next to the scripts that load them. */
const copyWasm = () => ({
  name: 'copy-wasm',
  writeBundle() {
    mkdirSync('dist/wasm', { recursive: true });
    for (const file of readdirSync('build/wasm').filter((name) => name.endsWith('.wasm')))
      cpSync(`build/wasm/${file}`, `dist/wasm/${file}`);
  },
});

const worker = code('sdk/worker/worker.ts', 'dist/worker.js');
worker.plugins.push(copyWasm());

export default [
  code('sdk/index.ts', 'dist/index.js'),
  worker,
  types('sdk/index.ts', 'dist/index.d.ts'),
  types('sdk/worker/worker.ts', 'dist/worker.d.ts'),
];
