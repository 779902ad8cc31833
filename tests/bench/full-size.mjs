/**
 * node tests/bench/full-size.mjs FOLDER [--dtype f16|i8|f32] [--threads N] [--runs N] [--profile] [--only text_encoder|unet|vae]
 *                               [--latents N]
 *
 * Loads a true-size model, written by tests/reference/full_size.py, into the CPU engine in Chromium;
 * prints the relative RMS error against PyTorch, seconds, and the tab's peak memory; with --profile the
 * milliseconds of every step, with --latents another size than that of the folder. Run by hand.
 */
import { createReadStream, existsSync, readFileSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { execFileSync } from 'node:child_process';
import { join, normalize } from 'node:path';
import { parseArgs } from 'node:util';
import { build } from 'esbuild';
import { chromium } from 'playwright-core';
import { findBrowser } from '../find-browser.mjs';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    dtype: { type: 'string', default: 'f16' },
    threads: { type: 'string', default: '2' },
    runs: { type: 'string', default: '3' },
    profile: { type: 'boolean', default: false },
    only: { type: 'string' },
    latents: { type: 'string' },
  },
});
const [folder] = positionals;
if (!folder || !existsSync(join(folder, 'expected.safetensors'))) {
  console.error('give the folder that tests/reference/full_size.py wrote');
  process.exit(2);
}

const bundle = await build({
  entryPoints: ['tests/bench/full-size-worker.ts'],
  bundle: true,
  write: false,
  format: 'esm',
  target: 'es2022',
});
const isolation = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
  'Cross-Origin-Resource-Policy': 'same-origin',
};
const server = createServer((request, response) => {
  const path = normalize(new URL(request.url, 'http://x').pathname);
  const send = (type, body) =>
    response.writeHead(200, { ...isolation, 'Content-Type': type }).end(body);
  if (path === '/') return send('text/html', '<!doctype html><title>full size</title>');
  if (path === '/worker.js') return send('text/javascript', bundle.outputFiles[0].contents);
  if (path.startsWith('/build/')) return send('application/wasm', readFileSync(`.${path}`));
  const file = join(folder, path.replace(/^\/model/, ''));
  if (!path.startsWith('/model/') || !existsSync(file)) return response.writeHead(404).end();
  const { size } = statSync(file);
  const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '');
  const [start, end] = range
    ? [Number(range[1]), range[2] ? Number(range[2]) : size - 1]
    : [0, size - 1];
  response.writeHead(range ? 206 : 200, {
    ...isolation,
    'Content-Type': file.endsWith('.json') ? 'application/json' : 'application/octet-stream',
    'Accept-Ranges': 'bytes',
    'Content-Length': end - start + 1,
    ...(range ? { 'Content-Range': `bytes ${start}-${end}/${size}` } : {}),
  });
  createReadStream(file, { start, end }).pipe(response);
});
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
const base = `http://127.0.0.1:${server.address().port}/`;

const browser = await chromium.launch({
  executablePath: await findBrowser('chromium'),
  args: ['--no-sandbox'],
});
try {
  const page = await browser.newPage();
  await page.goto(base);
  const outcome = await page.evaluate(
    (start) =>
      new Promise((resolve) => {
        const worker = new Worker('/worker.js', { type: 'module' });
        worker.onmessage = ({ data }) => resolve(data);
        worker.onerror = (event) => resolve({ error: event.message });
        worker.postMessage(start);
      }),
    {
      base,
      threads: Number(values.threads),
      dtype: values.dtype,
      runs: Number(values.runs),
      profiled: values.profile,
      only: values.only,
      latents: values.latents && Number(values.latents),
    },
  );
  console.log(JSON.stringify({ ...outcome, peakTabMegabytes: peakOfRenderers() }, null, 2));
  process.exitCode = outcome.error ? 1 : 0;
} finally {
  await browser.close();
  server.close();
}

/** The largest resident size that any renderer process of this machine has reached (Linux). */
function peakOfRenderers() {
  const pids = execFileSync('pgrep', ['-f', 'type=renderer'], { encoding: 'utf8' }).split('\n');
  const peaks = pids.filter(Boolean).map((pid) => {
    try {
      return Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0);
    } catch {
      return 0; // it has ended
    }
  });
  return Math.round(Math.max(0, ...peaks) / 1024);
}
