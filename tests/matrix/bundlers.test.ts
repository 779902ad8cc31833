import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { chromium, type Browser } from 'playwright-core';
import { listen } from '../../demos/serve.mjs';
import { findBrowser } from '../find-browser.mjs';
import { compVisFile } from '../support/compvis.ts';
import { below, openSite, type Answer, type Site } from '../support/site.ts';
import { pack, project, run } from './project.ts';

// The packed package in an app of each bundler: every one must draw the very same picture, from a folder and
// from a single file.

const ISOLATED = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
};

let browser: Browser;
let folder: string;
/** Serves the model, with CORS and ranges, as a CDN does. */
let weights: Server;
let model: string;
/** The same model's weights in one file, on a site of its own. */
let single: string;
let singles: Site;
/** The first picture's pixels. */
let expected: string | undefined;

before(async () => {
  folder = project(pack().path);
  weights = await listen(8400);
  const { port } = weights.address() as AddressInfo;
  model = `http://localhost:${port}/demos/landscapes/model/`;
  single = join(mkdtempSync(join(tmpdir(), 'sd-single-')), 'landscapes.safetensors');
  writeFileSync(
    single,
    await compVisFile((path) => readFileSync(`demos/landscapes/model/${path}`)),
  );
  singles = await openSite(() => ({
    file: single,
    headers: { 'Access-Control-Allow-Origin': '*' },
  }));
  browser = await chromium.launch({
    executablePath: await findBrowser('chromium'),
    args: process.getuid?.() === 0 ? ['--no-sandbox'] : [],
  });
});
after(async () => {
  await browser.close();
  weights.close();
  singles.close();
  rmSync(dirname(single), { recursive: true });
});

interface Drawing extends Window {
  /** From the folder, and from the single file. */
  readonly drawn: Promise<readonly [string, string]>;
}

/** What the page at `address` draws; the files it loaded from its own site that were not there fail. */
async function draw(address: string): Promise<void> {
  const page = await browser.newPage();
  page.setDefaultTimeout(120_000);
  const missing: string[] = [];
  page.on('response', (response) => {
    const ours = response.url().startsWith(new URL(address).origin);
    if (ours && response.status() >= 400 && !response.url().endsWith('favicon.ico'))
      missing.push(response.url());
  });
  const query = new URLSearchParams({ model, file: `${singles.origin}/landscapes.safetensors` });
  await page.goto(`${address}?${query}`);
  await page.waitForFunction(() => 'drawn' in window);
  const [picture, fromFile] = await page.evaluate(() => (window as unknown as Drawing).drawn);
  await page.close();
  assert.deepEqual(missing, []);
  assert.match(picture, /^[\da-f]{64}$/);
  expected ??= picture;
  assert.equal(picture, expected);
  assert.equal(fromFile, expected);
}

async function at(answer: (path: string) => Answer | undefined): Promise<void> {
  const site = await openSite(answer);
  try {
    await draw(`${site.origin}/`);
  } finally {
    site.close();
  }
}

/** A page without any bundler; the import map is what makes `stable-diffusion-web` a URL. */
const plain =
  (sdk: string, headers = {}) =>
  (path: string): Answer | undefined => {
    const map = { imports: { 'stable-diffusion-web': sdk } };
    if (path === '/')
      return {
        html: `<!doctype html><title>A picture</title>
        <script type="importmap">${JSON.stringify(map)}</script>
        <script type="module" src="/app/main.js"></script>`,
        headers,
      };
    return { ...below(folder, path), headers };
  };

test('no bundler, same origin', () =>
  at(plain('/node_modules/stable-diffusion-web/dist/index.js', ISOLATED)));

test('no bundler, from another origin', async () => {
  const cdn: Site = await openSite(
    (path) => ({ ...below(folder, path), headers: { 'Access-Control-Allow-Origin': '*' } }),
    '127.0.0.1',
  );
  try {
    await at(plain(`${cdn.origin}/node_modules/stable-diffusion-web/dist/index.js`));
  } finally {
    cdn.close();
  }
});

for (const name of [
  'vite',
  'webpack',
  'rspack',
  'rollup',
  'esbuild',
  'esbuild-copied',
  'parcel',
  'next',
])
  test(name, async () => {
    const out = join(folder, 'out', name);
    run(folder, process.execPath, 'bundlers.mjs', name, out);
    await at((path) => ({ ...below(out, path), headers: ISOLATED }));
  });

test('vite, development', async () => {
  const server = spawn(process.execPath, ['bundlers.mjs', 'vite-dev'], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  try {
    const address = await new Promise<string>((done, fail) => {
      server.on('exit', () => fail(new Error('the server ended')));
      server.stdout.on('data', (text: Buffer) => {
        const found = /listening (\S+)/.exec(String(text));
        if (found) done(found[1]);
      });
    });
    await draw(address);
  } finally {
    server.kill();
  }
});
