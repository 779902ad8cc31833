import assert from 'node:assert/strict';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import { chromium, type Browser, type Page } from 'playwright-core';
import { listen } from '../../demos/serve.mjs';
import { findBrowser } from '../find-browser.mjs';

let server: Server;
let browser: Browser;
let address: string;
const WAIT = { timeout: 120_000 };

before(async () => {
  server = await listen(8200);
  address = `http://localhost:${(server.address() as AddressInfo).port}/`;
  browser = await chromium.launch({
    executablePath: await findBrowser('chromium'),
    args: process.getuid?.() === 0 ? ['--no-sandbox'] : [],
  });
});
after(async () => {
  await browser.close();
  server.close();
});

/** The demo with its model loaded; anything the console complains of fails the test. */
async function open(options: Parameters<Browser['newContext']>[0] = {}): Promise<Page> {
  const page = await (await browser.newContext(options)).newPage();
  page.setDefaultTimeout(WAIT.timeout);
  page.on('pageerror', (error) => assert.fail(error.message));
  page.on('console', (message) => {
    // A folder need not have every file that one may have.
    const optional = message.location().url.endsWith('added_tokens.json');
    if (message.type() === 'error' && !optional) assert.fail(message.text());
  });
  await page.goto(`${address}demos/01-text-to-picture/`);
  await page.getByText('WebAssembly', { exact: false }).first().waitFor(WAIT);
  return page;
}

const done = (page: Page) =>
  page
    .getByText(/^Done in [\d.]+ s, seed \d+/)
    .first()
    .waitFor(WAIT);
const pixels = (page: Page) =>
  page.$eval('#canvas', (canvas) => (canvas as HTMLCanvasElement).toDataURL());

test('a prompt becomes a picture by the keyboard alone', async () => {
  const page = await open();
  await page.getByLabel('Prompt', { exact: true }).focus();
  await page.keyboard.press('Control+A');
  await page.keyboard.type('a windmill in flat fields');
  await page.locator('#seed').fill('7');
  await page.getByLabel(/Steps/).focus();
  await page.keyboard.press('Home');
  for (let i = 0; i < 4; i++) await page.keyboard.press('ArrowRight');
  await page.keyboard.press('Control+Enter');
  await done(page);
  assert.match((await page.locator('#status').textContent())!, /seed 7\./);
  assert.equal(
    await page.locator('#canvas').getAttribute('aria-label'),
    'Picture drawn from: a windmill in flat fields',
  );

  const waiting = page.waitForEvent('download');
  await page.getByText('Download').click();
  assert.equal((await waiting).suggestedFilename(), 'a-windmill-in-flat-fields-7.png');

  // The same seed again: the same picture. Started from it: another.
  const first = await pixels(page);
  await page.locator('#seed').fill('7');
  await page.getByRole('button', { name: 'Draw' }).click();
  await page.locator('.history li').nth(1).waitFor();
  assert.equal(await pixels(page), first);
  await page.getByText('Start from this picture').click();
  await page.getByLabel(/Strength/).waitFor();
  await page.locator('#seed').fill('7');
  await page.getByRole('button', { name: 'Draw' }).click();
  await page.locator('.history li').nth(2).waitFor();
  assert.notEqual(await pixels(page), first);
});

test('every control of the page is reached and used by keys alone', async () => {
  const page = await open();
  /** Tabs on to the control whose name or label begins so. */
  const tabTo = async (name: string) => {
    for (let i = 0; i < 60; i++) {
      await page.keyboard.press('Tab');
      const found = await page.evaluate(() => {
        const active = document.activeElement as HTMLInputElement;
        const { labels, textContent, title } = active;
        const name = labels?.[0]?.textContent || active.getAttribute('aria-label');
        return (name || textContent || title).trim();
      });
      if (found.startsWith(name)) return;
    }
    assert.fail(`Tab never comes to ${name}`);
  };
  const value = (selector: string) => page.locator(selector).inputValue();

  await tabTo('Prompt');
  await tabTo('snowy mountains at night');
  await page.keyboard.press('Enter');
  assert.match(await value('[name=prompt]'), /^snowy mountains/);
  await tabTo('Negative prompt');
  await page.keyboard.type('fog');
  await tabTo('Steps');
  await page.keyboard.press('Home');
  await page.keyboard.press('ArrowRight');
  await tabTo('Guidance');
  await page.keyboard.press('ArrowLeft');
  assert.equal(await value('[name=guidanceScale]'), '4.5');
  await tabTo('Size');
  await page.keyboard.press('ArrowDown');
  assert.notEqual(await value('[name=size]'), '128×128');
  await page.keyboard.press('ArrowUp');
  await tabTo('Sampler');
  await page.keyboard.type('UniPC');
  assert.equal(await value('[name=sampler]'), 'UniPC');
  await tabTo('Seed');
  await page.keyboard.type('9');
  await tabTo('Roll a new seed');
  await page.keyboard.press('Space');
  assert.notEqual(await value('[name=seed]'), '9');
  await tabTo('Keep the seed');
  await page.keyboard.press('Space');
  const seed = await value('[name=seed]');
  await tabTo('Choose');
  await tabTo('Model and engine');
  await page.keyboard.press('Enter');
  await tabTo('Engine');
  await tabTo('Open a folder');

  // Around, to the button that draws, and on to what has come of it.
  await tabTo('Draw');
  await page.keyboard.press('Enter');
  await done(page);
  assert.match((await page.locator('#status').textContent())!, new RegExp(`seed ${seed}\\.`));
  assert.equal(await value('[name=seed]'), seed);
  const waiting = page.waitForEvent('download');
  await tabTo('Download');
  await page.keyboard.press('Enter');
  await waiting;
  await tabTo('Start from this picture');
  await page.keyboard.press('Enter');
  await tabTo('Strength');
  await tabTo('Draw');
  await page.keyboard.press('Enter');
  await page.locator('.history li').nth(1).waitFor();
  await tabTo('snowy mountains at night, a small cabin · seed');
  await page.keyboard.press('Enter');
  assert.equal(
    await page.locator('#canvas').getAttribute('aria-label'),
    'Picture drawn from: snowy mountains at night, a small cabin',
  );
});

test('Escape cancels, and drawing works again', async () => {
  const page = await open();
  await page.getByLabel(/Steps/).fill('50');
  await page.getByRole('button', { name: 'Draw' }).click();
  await page.locator('#status', { hasText: /Step \d+ of 50/ }).waitFor();
  await page.keyboard.press('Escape');
  await page.locator('#status', { hasText: 'Cancelled.' }).waitFor();
  await page.getByLabel(/Steps/).fill('2');
  await page.getByRole('button', { name: 'Draw' }).click();
  await done(page);
});

test('fits a phone, and every control has a name', async () => {
  const page = await open({ viewport: { width: 360, height: 740 }, colorScheme: 'dark' });
  const wide = await page.evaluate(() => document.documentElement.scrollWidth);
  assert.ok(wide <= 360, `${wide} pixels wide`);
  const nameless = await page.$$eval('input, select, textarea, button', (controls) =>
    controls
      .filter((one) => {
        const { labels, textContent } = one as HTMLInputElement;
        const name = labels?.[0]?.textContent || textContent || one.getAttribute('aria-label');
        return !name?.trim();
      })
      .map((one) => one.outerHTML),
  );
  assert.deepEqual(nameless, []);
});

test('serves nothing but what is meant for the public', async () => {
  for (const path of ['package.json', '.git/config', 'demos/../package.json', '%2e%2e/etc/passwd'])
    assert.equal((await fetch(address + path)).status, 404, path);
  const part = await fetch(`${address}dist/index.js`, { headers: { Range: 'bytes=2-5' } });
  assert.equal(part.status, 206);
  assert.equal((await part.arrayBuffer()).byteLength, 4);
  assert.match(
    part.headers.get('Content-Security-Policy')!,
    /script-src 'self' 'wasm-unsafe-eval'/,
  );
});
