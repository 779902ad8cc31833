// `node bundlers.mjs NAME OUT`: builds app/ with one bundler, as its manual says, into the folder OUT.
// A function here is all the configuration that the bundler needs for the package.
import { spawnSync } from 'node:child_process';
import { cpSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

const html = (script) =>
  `<!doctype html><meta charset="utf-8" /><title>A picture</title><script type="module" src="${script}"></script>`;

/** For those that leave the page to you. */
const page = (out, script = './main.js') => writeFileSync(join(out, 'index.html'), html(script));

function command(...args) {
  const { status } = spawnSync('npx', ['--no', ...args], { stdio: 'inherit', shell: false });
  if (status !== 0) throw new Error(`${args.join(' ')} ended with ${status}`);
}

/** webpack and rspack call their configuration and their results the same. */
const pack = (bundle, out) =>
  new Promise((done, fail) =>
    bundle(
      { mode: 'production', entry: './app/main.js', output: { path: out, filename: 'main.js' } },
      (error, stats) => {
        if (error || stats.hasErrors()) fail(error ?? new Error(stats.toString('errors-only')));
        else done(page(out));
      },
    ),
  );

const bundlers = {
  async vite(out) {
    const { build } = await import('vite');
    await build({ root: 'app', base: './', build: { outDir: out, emptyOutDir: true } });
  },
  /** Serves instead of building; prints its address. */
  async 'vite-dev'() {
    const { createServer } = await import('vite');
    const headers = {
      'Cross-Origin-Opener-Policy': 'same-origin',
      'Cross-Origin-Embedder-Policy': 'require-corp',
    };
    const server = await createServer({ root: 'app', server: { headers, port: 0 } });
    await server.listen();
    console.log(`listening ${server.resolvedUrls.local[0]}`);
  },
  webpack: async (out) => pack((await import('webpack')).default, out),
  rspack: async (out) => pack((await import('@rspack/core')).rspack, out),
  async rollup(out) {
    const { rollup } = await import('rollup');
    const { nodeResolve } = await import('@rollup/plugin-node-resolve');
    const { importMetaAssets } = await import('@web/rollup-plugin-import-meta-assets');
    const bundle = await rollup({
      input: 'app/main.js',
      plugins: [nodeResolve({ browser: true }), importMetaAssets()],
    });
    await bundle.write({ dir: out, format: 'es' });
    page(out);
  },
  /** esbuild follows no `new URL`: the script that brings everything along needs none. */
  async esbuild(out) {
    const { build } = await import('esbuild');
    await build({
      ...{ entryPoints: ['app/main.js'], bundle: true, format: 'esm', outdir: out },
      alias: { 'stable-diffusion-web': 'stable-diffusion-web/inline' },
    });
    page(out);
  },
  /** Or the package's files are copied beside the bundle. */
  async 'esbuild-copied'(out) {
    const { build } = await import('esbuild');
    await build({ entryPoints: ['app/main.js'], bundle: true, format: 'esm', outdir: out });
    for (const name of ['worker.js', 'formats.js', 'wasm', 'clip-merges.txt'])
      cpSync(join('node_modules/stable-diffusion-web/dist', name), join(out, name), {
        recursive: true,
      });
    page(out);
  },
  async parcel(out) {
    const options = ['--public-url', './', '--no-cache', '--no-source-maps', '--dist-dir', out];
    command('parcel', 'build', 'app/index.html', ...options);
  },
  async next(out) {
    command('next', 'build', 'next');
    cpSync('next/out', out, { recursive: true });
  },
};

const [name, out] = process.argv.slice(2);
await bundlers[name](resolve(out ?? 'out'));
