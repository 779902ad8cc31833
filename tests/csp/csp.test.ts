import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import puppeteer, { type Browser, type Frame } from 'puppeteer-core';
import { findBrowser } from '../find-browser.mjs';
import { compVisFile } from '../support/compvis.ts';
import { below, openSite, type Answer, type Site } from '../support/site.ts';
import { ROWS, type Row } from './rows.ts';

// Every row ends in the same picture, or in the error that says what to change.

const CORS = { 'Access-Control-Allow-Origin': '*', 'Cross-Origin-Resource-Policy': 'cross-origin' };

interface Ending {
  readonly picture?: string;
  readonly device: string;
  readonly notices: string[];
  readonly name?: string;
  readonly code?: string;
  readonly message?: string;
}

/** One after the other: the rows are the same, and a row says where they end otherwise. */
const BROWSERS = ['chromium', 'firefox'] as const;
let browser: Browser;
let cdn: Site;
let picture: string | undefined;
/** Holds `tiny.safetensors`: the weights of the model in one file. */
const scratch = mkdtempSync(join(tmpdir(), 'sd-csp-'));

/** The SDK, the model and the script of the page, wherever they are served. */
function file(path: string): Answer | undefined {
  if (path.startsWith('/dist/')) return below('.', path);
  if (path === '/draw.js') return { file: 'tests/csp/draw.js' };
  if (path.startsWith('/tiny-model/')) return below('tests/fixtures', path);
  if (path === '/tiny.safetensors') return below(scratch, path);
  return undefined;
}

before(async () => {
  const weights = await compVisFile((path) => readFileSync(`tests/fixtures/tiny-model/${path}`));
  writeFileSync(join(scratch, 'tiny.safetensors'), weights);
  cdn = await openSite((path) => {
    const found = file(path);
    return found && { ...found, headers: CORS };
  }, '127.0.0.1');
});
after(() => {
  cdn.close();
  rmSync(scratch, { recursive: true });
});

/** The row's site, and the page around its frame. */
async function openRow(row: Row): Promise<{ address: string; close(): void }> {
  const query = (own: string) => {
    const origin = row.from === 'cdn' ? cdn.origin : own;
    return new URLSearchParams({
      sdk: `${origin}/dist/${row.script ?? 'index.js'}`,
      model: `${origin}/tiny-model/`,
      ...(row.singleFile && { file: `${origin}/tiny.safetensors` }),
    });
  };
  const csp = row.csp && { 'Content-Security-Policy': row.csp.replaceAll('{cdn}', cdn.origin) };
  const page = `<!doctype html><meta charset="utf-8"><title>A row</title>
    <script type="module" nonce="1" src="/draw.js"></script>`;
  const around: { html?: string } = {};
  const site = await openSite((path) => {
    if (path === '/page') return { html: page, headers: { ...row.headers, ...csp } };
    if (path === '/around' && around.html !== undefined)
      return { html: around.html, headers: row.frame?.around };
    const found = file(path);
    return found && { ...found, headers: { ...CORS, ...row.files } };
  });
  const inner = `${site.origin}/page?${query(site.origin)}`;
  if (!row.frame) return { address: inner, close: site.close };
  const html = `<!doctype html><title>Around</title><iframe ${row.frame.attributes}
    src="${inner.replaceAll('&', '&amp;')}"></iframe>`;
  if (row.frame.site === undefined) {
    around.html = html;
    return { address: `${site.origin}/around`, close: site.close };
  }
  const host = await openSite(() => ({ html, headers: row.frame?.around }), '127.0.0.1');
  const close = () => [site, host].forEach((one) => one.close());
  return { address: `${host.origin}/`, close };
}

/** `drawn` of draw.js, once it is there: the page may still be loading it. */
async function drawnIn(frame: Frame): Promise<Ending> {
  for (;;) {
    const ending = await frame.evaluate(() => (globalThis as { drawn?: Promise<Ending> }).drawn);
    if (ending) return ending;
    await new Promise((done) => setTimeout(done, 50));
  }
}

async function endingOf(row: Row): Promise<Ending> {
  const { address, close } = await openRow(row);
  const context = await browser.createBrowserContext();
  try {
    const page = await context.newPage();
    await page.goto(address);
    const frame = row.frame
      ? await page.waitForSelector('iframe').then((element) => element?.contentFrame())
      : page.mainFrame();
    assert.ok(frame, 'there is no frame');
    return await drawnIn(frame);
  } finally {
    await context.close();
    close();
  }
}

interface Expected {
  readonly rgb: string;
}
const [{ rgb }] = JSON.parse(
  readFileSync('tests/fixtures/tiny-model/expected.json', 'utf8'),
) as Expected[];
const expected = Buffer.from(rgb, 'base64');

/** Within a grey level of what diffusers draws, and the same in every row. */
function checkPicture(pixels: string): void {
  const mine = Buffer.from(pixels, 'base64').filter((_, i) => i % 4 < 3);
  assert.equal(mine.length, expected.length);
  for (const [i, value] of mine.entries()) assert.ok(Math.abs(value - expected[i]) <= 1);
  picture ??= pixels;
  assert.equal(pixels, picture);
}

async function check(row: Row): Promise<void> {
  const ending = await endingOf(row);
  if (row.error) {
    const [code, names] = row.error;
    assert.equal(ending.code, code, JSON.stringify(ending));
    assert.match(ending.message ?? '', names);
    return;
  }
  assert.equal(ending.message, undefined);
  checkPicture(ending.picture ?? '');
  const threads = Number(/(\d+) threads?/.exec(ending.device)?.[1] ?? 1);
  if (row.threads !== undefined) assert.equal(threads > 1, row.threads, ending.device);
  if (row.notice) assert.match(ending.notices.join(' '), row.notice);
}

for (const name of BROWSERS)
  describe(name, { timeout: 600_000 }, () => {
    before(async () => {
      browser = await puppeteer.launch({
        browser: name === 'chromium' ? 'chrome' : name,
        executablePath: await findBrowser(name),
        args: name === 'chromium' && process.getuid?.() === 0 ? ['--no-sandbox'] : [],
      });
    });
    after(() => browser.close());
    for (const [group, rows] of Object.entries(ROWS))
      for (const { firefox, ...row } of rows)
        test(`${group}: ${row.name}`, { timeout: 90_000 }, () =>
          check({ ...row, ...(name === 'firefox' && firefox) }),
        );
  });
