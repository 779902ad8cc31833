/**
 * npm run bench:cpu -- [--threads N] [--runs N] [--dtype f32|f16|i8] [--simd auto|relaxed|plain]
 *                      [--models FOLDER] [--ort FOLDER] [--no-shapes] | --growth
 *
 * Times the CPU engine in Chromium, from one page in one run: each distinct product, convolution and
 * attention of SD 1.5 as a fraction of the peak of multiply-adds; and, where FOLDER was written by
 * tests/bench/cpu_models.py, whole models. `--ort` is the `dist` folder of onnxruntime-web, which then
 * runs the same models in turn. `--growth` prints instead a Markdown table of time and memory against
 * size, batch and threads.
 */
import { createReadStream, existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { extname, join, normalize } from 'node:path';
import { parseArgs } from 'node:util';
import asc from 'assemblyscript/asc';
import { build } from 'esbuild';
import { chromium } from 'playwright-core';
import { findBrowser } from '../find-browser.mjs';

const { values } = parseArgs({
  options: {
    threads: { type: 'string', default: '2' },
    runs: { type: 'string', default: '5' },
    dtype: { type: 'string', default: 'f32' },
    simd: { type: 'string', default: 'auto' },
    models: { type: 'string' },
    ort: { type: 'string' },
    only: { type: 'string' },
    'no-shapes': { type: 'boolean', default: false },
    growth: { type: 'boolean', default: false },
  },
});

const peak = join(tmpdir(), 'stable-diffusion-web-peak.wasm');
const { error, stderr } = await asc.main(
  ['wasm/bench/peak.ts', '--outFile', peak, '-O3', '--noAssert', '--runtime', 'stub'].concat([
    '--enable',
    'simd',
    '--enable',
    'relaxed-simd',
  ]),
  { stderr: asc.createMemoryStream() },
);
if (error) throw new Error(stderr.toString());
const bundle = await build({
  entryPoints: ['tests/bench/cpu-worker.ts'],
  bundle: true,
  write: false,
  format: 'esm',
  target: 'es2022',
});

const TYPES = {
  '.wasm': 'application/wasm',
  '.mjs': 'text/javascript',
  '.json': 'application/json',
};
const server = createServer((request, response) => {
  const path = normalize(new URL(request.url, 'http://x').pathname);
  response.setHeader('Cross-Origin-Opener-Policy', 'same-origin');
  response.setHeader('Cross-Origin-Embedder-Policy', 'require-corp');
  const send = (type, body) => response.writeHead(200, { 'Content-Type': type }).end(body);
  if (path === '/') return send('text/html', '<!doctype html><title>bench</title>');
  if (path === '/worker.js') return send('text/javascript', bundle.outputFiles[0].contents);
  if (path === '/peak.wasm') return send('application/wasm', readFileSync(peak));
  const file = path.startsWith('/build/')
    ? `.${path}`
    : path.startsWith('/models/') && values.models
      ? join(values.models, path.slice(8))
      : path.startsWith('/ort/') && values.ort
        ? join(values.ort, path.slice(5))
        : undefined;
  if (!file || !existsSync(file)) return response.writeHead(404).end();
  response.writeHead(200, {
    'Content-Type': TYPES[extname(file)] ?? 'application/octet-stream',
    'Content-Length': statSync(file).size,
  });
  createReadStream(file, { highWaterMark: 1 << 20 }).pipe(response);
});
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
const base = `http://127.0.0.1:${server.address().port}/`;
const models = values.models
  ? readdirSync(values.models).filter((name) => !values.only || name === values.only)
  : [];

const browser = await chromium.launch({
  executablePath: await findBrowser('chromium'),
  args: ['--no-sandbox', '--js-flags=--max-old-space-size=8192'],
});
try {
  const page = await browser.newPage();
  await page.goto(base);
  await page.exposeFunction('say', (line) => console.log(line));
  await page.evaluate(
    (start) =>
      new Promise((resolve, reject) => {
        const worker = new Worker('/worker.js', { type: 'module' });
        worker.onmessage = ({ data }) => (data === null ? resolve() : globalThis.say(data));
        worker.onerror = (event) => reject(new Error(event.message));
        worker.postMessage(start);
      }),
    {
      base,
      threads: Number(values.threads),
      runs: Number(values.runs),
      dtype: values.dtype,
      simd: values.simd,
      models,
      peer: values.ort !== undefined,
      shapes: !values['no-shapes'],
      growth: values.growth,
    },
  );
} finally {
  await browser.close();
  server.close();
}
