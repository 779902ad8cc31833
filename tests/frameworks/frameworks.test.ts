import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { chromium, type Browser, type Page } from 'playwright-core';
import { findBrowser } from '../find-browser.mjs';
import { pack, run } from '../matrix/project.ts';
import { below, openSite } from '../support/site.ts';

// Each app of demos/frameworks/, copied out of the repository, with the packed package: installed, built
// and used.
const root = fileURLToPath(new URL('../..', import.meta.url));
const MODEL = join(root, 'demos/landscapes/model');
const HEADERS = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
  'Cross-Origin-Resource-Policy': 'cross-origin',
  'Access-Control-Allow-Origin': '*',
};

let browser: Browser;
let folder: string;
let tarball: string;

before(async () => {
  tarball = pack().path;
  folder = mkdtempSync(join(tmpdir(), 'sd-frameworks-'));
  browser = await chromium.launch({
    executablePath: await findBrowser('chromium'),
    args: process.getuid?.() === 0 ? ['--no-sandbox'] : [],
  });
});
after(async () => {
  await browser?.close();
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
});

const model = (path: string) =>
  path.startsWith('/models/landscapes/')
    ? below(MODEL, path.slice('/models/landscapes'.length))
    : undefined;

/** The page with its picture drawn; anything that the page complains of fails. */
async function draw(address: string, done: (page: Page) => Promise<unknown>): Promise<void> {
  const page = await browser.newPage();
  page.setDefaultTimeout(120_000);
  const complaints: string[] = [];
  page.on('pageerror', ({ message }) => complaints.push(message));
  page.on('console', (message) => {
    // A folder need not have every file that one may have.
    const optional = new URL(message.location().url || address).pathname.startsWith('/models/');
    if (message.type() === 'error' && !optional) complaints.push(message.text());
  });
  await page.goto(address);
  await page.getByRole('button', { name: 'Draw' }).click();
  await done(page);
  // Not one colour: a picture.
  const colours = await page.evaluate(async () => {
    const hosts = [...document.querySelectorAll('*')].map(({ shadowRoot }) => shadowRoot);
    const shown = [document, ...hosts].flatMap((host) =>
      host ? [...host.querySelectorAll<HTMLImageElement | HTMLCanvasElement>('img, canvas')] : [],
    );
    const picture = shown.find((one) => one.checkVisibility() && one.clientWidth > 0)!;
    const bitmap = await createImageBitmap(picture);
    const surface = new OffscreenCanvas(bitmap.width, bitmap.height).getContext('2d')!;
    surface.drawImage(bitmap, 0, 0);
    const { data } = surface.getImageData(0, 0, bitmap.width, bitmap.height);
    return { width: bitmap.width, colours: new Set(new Uint32Array(data.buffer)).size };
  });
  await page.close();
  assert.deepEqual(complaints, []);
  assert.equal(colours.width, 128);
  assert.ok(colours.colours > 1000, `${colours.colours} colours`);
}

for (const [name, out] of [
  ['vite-react', 'dist'],
  ['svelte', 'dist'],
  ['next', 'out'],
] as const)
  test(name, async () => {
    const app = join(folder, name);
    cpSync(join(root, 'demos/frameworks', name), app, {
      recursive: true,
      filter: (path) => !path.includes('node_modules'),
    });
    const manifest = join(app, 'package.json');
    const text = readFileSync(manifest, 'utf8');
    const pinned = /("stable-diffusion-web": )"[\d.]+"/;
    assert.match(text, pinned);
    writeFileSync(manifest, text.replace(pinned, `$1${JSON.stringify(`file:${tarball}`)}`));
    run(app, 'npm', 'install', '--no-audit', '--no-fund', '--loglevel=error');
    run(app, 'npm', 'run', 'build');
    const site = await openSite((path) => ({
      ...(model(path) ?? below(join(app, out), path)),
      headers: HEADERS,
    }));
    try {
      await draw(`${site.origin}/`, (page) => page.getByText(/^Seed \d+$/).waitFor());
    } finally {
      site.close();
    }
  });

test('plain-html, from a CDN on another origin', async () => {
  const cdn = await openSite(
    (path) => ({ ...(model(path) ?? below(root, path)), headers: HEADERS }),
    '127.0.0.1',
  );
  const html = readFileSync(join(root, 'demos/frameworks/plain-html/index.html'), 'utf8')
    .replace('https://cdn.example/stable-diffusion-web@0.1.0', cdn.origin)
    .replace('https://cdn.example', cdn.origin);
  const site = await openSite((path) => (path === '/' ? { html } : undefined));
  try {
    assert.doesNotMatch(html, /cdn\.example/);
    await draw(`${site.origin}/`, (page) =>
      page
        .getByText(/^Done in .* seed \d+/)
        .first()
        .waitFor(),
    );
  } finally {
    site.close();
    cdn.close();
  }
});
