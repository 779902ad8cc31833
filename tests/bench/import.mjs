/**
 * node tests/bench/import.mjs FILE.safetensors [--profile FOLDER] [--skip-copy] [--picture]
 *
 * Imports a checkpoint of the true size, written by tests/reference/full_checkpoint.py, into Chromium
 * from this machine, and loads it again. Prints speeds beside those of plain copies of the same bytes,
 * requests, and memory: the worker's JavaScript heap every few milliseconds (with its array buffers
 * beside it), and the resident and proportional size of the tab's process. Run by hand; Linux.
 */
import { spawn } from 'node:child_process';
import { createReadStream, existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join, normalize } from 'node:path';
import { parseArgs } from 'node:util';
import { build } from 'esbuild';
import { chromium } from 'playwright-core';
import { findBrowser } from '../find-browser.mjs';
import { sampleWorkerHeap } from '../support/worker-heap.mjs';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    profile: { type: 'string' },
    'skip-copy': { type: 'boolean', default: false },
    picture: { type: 'boolean', default: false },
  },
});
const [file] = positionals;
if (!file || !existsSync(file)) {
  console.error('give the file that tests/reference/full_checkpoint.py wrote');
  process.exit(2);
}
const { size } = statSync(file);
const profile = values.profile ?? mkdtempSync(join(tmpdir(), 'sd-import-'));

const bundle = await build({
  entryPoints: ['tests/bench/import-worker.ts'],
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
const TYPES = { wasm: 'application/wasm', js: 'text/javascript', txt: 'text/plain' };
let requests = [];
const server = createServer((request, response) => {
  const path = normalize(new URL(request.url, 'http://x').pathname);
  const send = (type, body) => response.writeHead(200, { ...isolation, 'Content-Type': type }).end(body); // prettier-ignore
  if (path === '/') return send('text/html', '<!doctype html><title>import</title>');
  if (path === '/worker.js') return send('text/javascript', bundle.outputFiles[0].contents);
  if (/^\/(build|dist)\//.test(path)) {
    if (!existsSync(`.${path}`)) return response.writeHead(404).end();
    return send(TYPES[path.split('.').pop()], readFileSync(`.${path}`));
  }
  if (path !== '/model.safetensors') return response.writeHead(404).end();
  const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '');
  const start = range ? Number(range[1]) : 0;
  const end = range?.[2] ? Number(range[2]) : size - 1;
  requests.push(`${start}-${end}`);
  response.writeHead(range ? 206 : 200, {
    ...isolation,
    'Content-Type': 'application/octet-stream',
    'Content-Length': end - start + 1,
    ...(range ? { 'Content-Range': `bytes ${start}-${end}/${size}` } : {}),
  });
  createReadStream(file, { start, end, highWaterMark: 1024 * 1024 }).pipe(response);
});
// The origin is the place of what is stored: the port stays where a profile is used again.
await new Promise((done) => server.listen(values.profile ? 8450 : 0, '127.0.0.1', done));
const base = `http://127.0.0.1:${server.address().port}/`;
const url = `${base}model.safetensors`;

const child = spawn(
  await findBrowser('chromium'),
  [
    ...['--headless=new', '--no-sandbox', '--no-first-run', '--disable-background-networking'],
    ...['--disable-component-update', '--disable-extensions', '--disable-gpu'],
    ...['--remote-debugging-port=0', `--user-data-dir=${profile}`, 'about:blank'],
  ],
  { stdio: 'ignore' },
);
const gone = new Promise((done) => child.once('exit', done));
const portFile = join(profile, 'DevToolsActivePort');
rmSync(portFile, { force: true });
while (!existsSync(portFile) || !readFileSync(portFile, 'utf8').includes('/devtools'))
  await new Promise((done) => setTimeout(done, 50));
const [port, socket] = readFileSync(portFile, 'utf8').split('\n');
const browser = await chromium.connectOverCDP(`ws://127.0.0.1:${port}${socket}`);
const devtools = await browser.newBrowserCDPSession();

/** Processes of this browser, the browser's own first, and what each is. */
function processes(pid = child.pid) {
  try {
    const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8');
    const kind = /--type=([^\0 ]+)/.exec(command)?.[1] ?? 'browser';
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ');
    return [{ pid, kind }, ...children.filter(Boolean).flatMap((below) => processes(below))];
  } catch {
    return []; // It has ended.
  }
}
const kilobytes = (pid, path, name) => {
  try {
    return Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(readFileSync(`/proc/${pid}/${path}`, 'utf8'))?.[1] ?? 0); // prettier-ignore
  } catch {
    return 0;
  }
};

/** Peaks of the tab's process (the resident one as the kernel keeps it) and of all the browser. */
function sampleProcesses(peaks) {
  const timer = setInterval(() => {
    let total = 0;
    for (const { pid, kind } of processes()) {
      const pss = kilobytes(pid, 'smaps_rollup', 'Pss');
      total += pss;
      if (kind !== 'renderer') continue;
      peaks.tabPss = Math.max(peaks.tabPss, pss);
      peaks.tabRss = Math.max(peaks.tabRss, kilobytes(pid, 'status', 'VmHWM'));
    }
    peaks.browserPss = Math.max(peaks.browserPss, total);
  }, 1000);
  return () => clearInterval(timer);
}

async function run(task) {
  const page = await browser.contexts()[0].newPage();
  await page.goto(base);
  requests = [];
  const peaks = { tabPss: 0, tabRss: 0, browserPss: 0 };
  const stopHeap = await sampleWorkerHeap(devtools);
  const stopProcesses = sampleProcesses(peaks);
  const outcome = await page.evaluate(
    (start) =>
      new Promise((resolve) => {
        const worker = new Worker('/worker.js', { type: 'module' });
        worker.onmessage = ({ data }) => resolve(data);
        worker.onerror = (event) => resolve({ error: event.message });
        worker.postMessage(start);
      }),
    { task, url },
  );
  const { heap, buffers, samples } = await stopHeap();
  stopProcesses();
  await page.close();
  if (outcome.error) throw new Error(outcome.error);
  const { seconds, bytes, notices = [] } = outcome.report;
  const mb = (n) => Math.round(n / 1e6);
  console.log(
    `${task.padEnd(7)} ${seconds.toFixed(1).padStart(6)} s  ${mb(bytes)} MB  ${mb(bytes / seconds)} MB/s  ${requests.length} requests` +
      `  heap ${mb(heap)} MB + array buffers ${mb(buffers)} MB (${samples} samples)` +
      `  tab ${mb(peaks.tabRss * 1024)} MB resident, ${mb(peaks.tabPss * 1024)} MB proportional; browser ${mb(peaks.browserPss * 1024)} MB` +
      (notices.length > 0 ? `  ${notices.join(' ')}` : ''),
  );
  return { seconds, bytes, requests: requests.length, heap, ...peaks };
}

/** The whole way with the built package: a picture from what was imported. */
async function picture() {
  const page = await browser.contexts()[0].newPage();
  await page.goto(base);
  requests = [];
  const outcome = await page.evaluate(async (model) => {
    const { StableDiffusion } = await import('/dist/index.js');
    const began = performance.now();
    const sd = await StableDiffusion.load(model, { backend: 'wasm' });
    const loaded = performance.now();
    const options = { prompt: 'a lake at dawn', steps: 2, width: 512, height: 512, seed: 7 };
    const { image, timings } = await sd.generate(options);
    let sum = 0;
    let squares = 0;
    for (const value of image.data) {
      sum += value;
      squares += value * value;
    }
    const mean = sum / image.data.length;
    const deviation = Math.sqrt(squares / image.data.length - mean * mean);
    return { device: sd.info.device, load: (loaded - began) / 1000, timings, mean, deviation };
  }, url);
  console.log(`picture ${JSON.stringify(outcome)}  ${requests.length} requests`);
  if (requests.length > 0) process.exitCode = 1;
}

try {
  const copy = values['skip-copy'] ? undefined : await run('copy');
  const imported = await run('import');
  const rounds = [];
  for (let i = 0; i < 2; i++) rounds.push([await run('read'), await run('import')]);
  const fastest = (k) => Math.min(...rounds.map((round) => round[k].seconds));
  const goals = [
    ['JavaScript heap under 256 MB', imported.heap < 256e6],
    ['tab under 700 MB', imported.tabRss * 1024 < 700e6],
    ['second load without a request', rounds.every(([, load]) => load.requests === 0)],
    ['second load at 80 % of the raw read', fastest(0) / fastest(1) >= 0.8],
  ];
  console.log(`second load at ${((100 * fastest(0)) / fastest(1)).toFixed(0)} % of the raw read`);
  if (copy) {
    const ratio = copy.seconds / (imported.seconds * (copy.bytes / size));
    console.log(`import at ${(100 * ratio).toFixed(0)} % of the copy`);
    goals.push(['import at half the speed of the copy', ratio >= 0.5]);
  }
  for (const [goal, holds] of goals) console.log(`${holds ? 'holds ' : 'MISSED'} ${goal}`);
  if (values.picture) await picture();
} finally {
  await devtools.send('Browser.close').catch(() => {});
  await gone;
  server.close();
  if (!values.profile) rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
}
