import assert from 'node:assert/strict';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import { chromium, type Browser, type Frame, type Page } from 'playwright-core';
import { listen } from '../../demos/serve.mjs';
import { findBrowser } from '../find-browser.mjs';

// Two sites: `localhost` has the frame, `127.0.0.1` the pages around it, which send no headers at all.
let site: Server;
let host: Server;
let browser: Browser;
let frames: string;
let around: string;

interface Told {
  readonly type: string;
  readonly code?: string;
  readonly seed?: number;
  readonly file?: File;
}
interface Around extends Window {
  readonly told: Told[];
  readonly posted: { origin: string; ports: number }[];
}

/** Keeps what reaches the page around the frame. */
const LISTEN = `
  <body>
  <script>
    window.told = [];
    window.posted = [];
    addEventListener('message', ({ origin, ports }) => posted.push({ origin, ports: ports.length }));
  </script>`;
const pages: Record<string, () => string> = {
  '/script': () => `${LISTEN}
    <script src="${frames}embed.js" data-prompt="&lt;b&gt;a lake" data-steps="2" data-seed="5"></script>
    <script>
      document.querySelector('iframe').addEventListener('stable-diffusion', ({ detail }) => told.push(detail));
    </script>`,
  '/sandbox': () => `${LISTEN}
    <iframe sandbox="allow-scripts" width="600" height="800" src="${frames}?steps=2&parent=${around}"></iframe>`,
  '/stranger': () => `${LISTEN}
    <iframe width="600" height="800" src="${frames}?parent=https://other.example&steps=9e9&onload=x"></iframe>`,
};

const port = (server: Server) => (server.address() as AddressInfo).port;

before(async () => {
  site = await listen(8300);
  frames = `http://localhost:${port(site)}/demos/embed/`;
  host = createServer(({ url }, response) => {
    response.setHeader('Content-Type', 'text/html');
    response.end(pages[url ?? '']?.() ?? '');
  });
  await new Promise<void>((done) => host.listen(0, '127.0.0.1', done));
  around = `http://127.0.0.1:${port(host)}`;
  browser = await chromium.launch({
    executablePath: await findBrowser('chromium'),
    args: process.getuid?.() === 0 ? ['--no-sandbox'] : [],
  });
});
after(async () => {
  await browser.close();
  site.close();
  host.close();
});

async function open(path: string): Promise<{ page: Page; frame: Frame }> {
  const page = await (await browser.newContext()).newPage();
  page.setDefaultTimeout(60_000);
  await page.goto(around + path);
  const handle = await page.waitForSelector('iframe');
  const frame = (await handle.contentFrame())!;
  await frame.waitForSelector('stable-diffusion[src]', { state: 'attached' });
  return { page, frame };
}

async function draw(frame: Frame): Promise<string> {
  await frame.getByRole('button', { name: 'Draw' }).click();
  await frame
    .getByText(/^Done in [\d.]+ s, seed \d+/)
    .first()
    .waitFor();
  return frame.evaluate(
    async () => (await document.querySelector('stable-diffusion')!.load()).info.device,
  );
}

const told = (page: Page) => page.evaluate(() => (window as unknown as Around).told);

test('one script tag: threads without the help of the page around, which gets the picture', async () => {
  const { page, frame } = await open('/script');
  assert.equal(await frame.evaluate(() => crossOriginIsolated), true);
  assert.equal(await frame.getByLabel('Prompt').inputValue(), '<b>a lake');
  // Nobody has clicked yet: the page around cannot make its visitors download.
  await page.waitForFunction(() => 'stableDiffusion' in document.querySelector('iframe')!);
  await page.evaluate(() => {
    const { stableDiffusion } = document.querySelector('iframe') as unknown as {
      stableDiffusion: MessagePort;
    };
    stableDiffusion.postMessage({ type: 'generate' });
  });
  await page.waitForFunction(() => (window as unknown as Around).told.length > 0);
  assert.deepEqual(
    (await told(page)).map(({ type, code }) => [type, code]),
    [['error', 'NOT_STARTED']],
  );

  const device = await draw(frame);
  const cores = await frame.evaluate(() => navigator.hardwareConcurrency);
  if (device.startsWith('WebAssembly') && cores > 1) assert.match(device, /[2-9] threads/);
  await page.waitForFunction(() =>
    (window as unknown as Around).told.some(({ type }) => type === 'image'),
  );
  const [seed, size] = await page.evaluate(async () => {
    const { seed, file } = (window as unknown as Around).told.find(({ type }) => type === 'image')!;
    return [seed, (await createImageBitmap(file!)).width];
  });
  assert.deepEqual([seed, size], [5, 128]);
  // The frame is as high as what is in it.
  const [outer, inner] = await Promise.all([
    page.$eval('iframe', (iframe) => iframe.clientHeight),
    frame.evaluate(() => document.body.clientHeight),
  ]);
  assert.ok(Math.abs(outer - inner) <= 2, `${outer} around ${inner}`);
});

test('a sandboxed frame has no origin and no storage, and draws all the same', async () => {
  const { page, frame } = await open('/sandbox');
  assert.equal(await frame.evaluate(() => self.origin), 'null');
  await draw(frame);
  assert.match((await frame.locator('#note').textContent())!, /keeps nothing/);
  const { posted } = await page.evaluate(() => ({ posted: (window as unknown as Around).posted }));
  assert.deepEqual(posted, [{ origin: 'null', ports: 1 }]);
});

test('a page that is not the named one hears nothing, and cannot get in', async () => {
  const { page, frame } = await open('/stranger');
  await page.evaluate(() => {
    const inside = document.querySelector('iframe')!.contentWindow!;
    const { port1 } = new MessageChannel();
    inside.postMessage({ type: 'generate' }, '*');
    inside.postMessage({ type: 'stable-diffusion-web/ready', version: 1 }, '*', [port1]);
  });
  await page.waitForTimeout(500);
  const { posted } = await page.evaluate(() => ({ posted: (window as unknown as Around).posted }));
  assert.deepEqual(posted, []);
  assert.equal(await frame.getByRole('figure').getAttribute('aria-busy'), 'false');
  assert.match((await frame.locator('#note').textContent())!, /Not understood.*: steps, onload\./);
});

test('the frame’s headers and its oEmbed document', async () => {
  const page = await fetch(frames);
  assert.equal(page.headers.get('document-isolation-policy'), 'isolate-and-require-corp');
  assert.equal(page.headers.get('cross-origin-resource-policy'), 'cross-origin');
  assert.match(page.headers.get('content-security-policy')!, /frame-ancestors \*/);
  const other = await fetch(new URL('../01-text-to-picture/', frames));
  assert.match(other.headers.get('content-security-policy')!, /frame-ancestors 'self'/);
  const answer = await fetch(`${frames}oembed.json?url=${encodeURIComponent(frames)}`);
  assert.ok(((await answer.json()) as { html: string }).html.includes(`src="${frames}"`));
  assert.equal((await fetch(`${frames}oembed.json?url=https://evil.example/`)).status, 404);
});
