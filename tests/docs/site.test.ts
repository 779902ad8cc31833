import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import type { Server } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { dirname, join, posix } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { chromium, type Browser } from 'playwright-core';
import { findBrowser } from '../find-browser.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));
const site = join(root, 'build/site');
const axe = createRequire(import.meta.url).resolve('axe-core/axe.min.js');
// By a variable: the scripts of the docs are plain JavaScript, without types.
const serving = '../../docs/serve.mjs';
const { docsServer } = (await import(serving)) as { docsServer(): Server };

let said = '';
let status: number | null;
let pages: string[];
let browser: Browser;
let server: Server;
let address: string;

before(async () => {
  const { stdout, stderr, ...run } = spawnSync('npm', ['run', '--silent', 'docs'], {
    cwd: root,
    encoding: 'utf8',
  });
  [said, status] = [stdout + stderr, run.status];
  pages = (readdirSync(site, { recursive: true }) as string[])
    .filter((name) => name.endsWith('.html'))
    .map((name) => name.replaceAll('\\', '/'));
  server = docsServer().listen(0, 'localhost');
  await new Promise((done) => server.once('listening', done));
  address = `http://localhost:${(server.address() as AddressInfo).port}/`;
  browser = await chromium.launch({
    executablePath: await findBrowser('chromium'),
    args: process.getuid?.() === 0 ? ['--no-sandbox'] : [],
  });
});
after(async () => {
  await browser?.close();
  server?.close();
});

const text = (page: string) => readFileSync(join(site, page), 'utf8');
const attributes = (html: string, names: string) =>
  [...html.matchAll(new RegExp(`(?:${names})="([^"]*)"`, 'g'))].map(([, value]) =>
    value.replaceAll('&amp;', '&'),
  );

test('the site is built, and every export has its docstring', () => {
  assert.equal(status, 0, said);
  assert.ok(pages.length > 40, `${pages.length} pages`);
});

test('every export of every entry has a page or a heading of its own', () => {
  const index = text('modules.html');
  for (const entry of ['index', 'element/index', 'react/index', 'parameters']) {
    const source = readFileSync(join(root, `sdk/${entry}.ts`), 'utf8');
    const lists = [...source.matchAll(/export (?:type )?\{([^}]*)\}/g)].flatMap(([, list]) =>
      list.split(',').map((name) => name.replace('type ', '').trim()),
    );
    const own = [...source.matchAll(/export (?:function|const|class|interface|type) (\w+)/g)].map(
      ([, name]) => name,
    );
    const names = [...lists, ...own].filter((name) => name !== '');
    assert.ok(names.length > 0, entry);
    for (const name of names)
      assert.ok(
        pages.some((page) => page.endsWith(`.${name}.html`)),
        `${entry} exports ${name}, which has no page`,
      );
  }
  assert.match(index, /stable-diffusion-web/);
});

test('every error code says what to do', () => {
  const source = readFileSync(join(root, 'sdk/errors.ts'), 'utf8');
  const codes = [...source.matchAll(/\| '([A-Z_]+)'/g)].map(([, code]) => code);
  assert.ok(codes.length >= 18);
  const page = text('documents/Errors.html');
  for (const code of codes) assert.ok(page.includes(`id="${code.toLowerCase()}"`), code);
});

test('no link leads to nowhere, and nothing is fetched from elsewhere', () => {
  const missing: string[] = [];
  let links = 0;
  for (const page of pages) {
    const html = text(page);
    for (const link of attributes(html, 'href|src')) {
      if (/^(https?:|mailto:|data:)/.test(link)) continue;
      links++;
      const [path, anchor] = link.split('#');
      const target = path === '' ? page : posix.join(dirname(page), decodeURIComponent(path));
      const found = target.endsWith('.html')
        ? pages.includes(target)
        : readdirSync(join(site, dirname(target))).includes(posix.basename(target));
      if (!found) missing.push(`${page}: ${link}`);
      else if (anchor && target.endsWith('.html')) {
        const ids = attributes(text(target), 'id');
        if (!ids.includes(decodeURIComponent(anchor))) missing.push(`${page}: ${link}`);
      }
    }
    const fetched = [...html.matchAll(/<(?:script|link|img)[^>]*(?:src|href)="(https?:[^"]*)"/g)];
    assert.deepEqual(
      fetched.map(([, url]) => url),
      [],
      page,
    );
  }
  assert.ok(links > 500, `${links} links`);
  assert.deepEqual(missing, []);
});

/** One of each kind of page, and all that people wrote. */
const shown = () => [
  ...['index.html', 'modules.html', 'modules/stable-diffusion-web.html'],
  ...pages.filter((page) => page.startsWith('documents/')),
  ...['class', 'interface', 'function', 'type', 'variable'].map((kind) =>
    pages.find((page) => page.startsWith(`${kind}`) && page.includes('/'))!,
  ),
];

for (const [device, viewport] of [
  ['phone', { width: 360, height: 740 }],
  ['desk', { width: 1280, height: 900 }],
] as const)
  for (const colorScheme of ['light', 'dark'] as const)
    test(`axe finds nothing, on a ${device}, ${colorScheme}`, async () => {
      const context = await browser.newContext({ viewport, colorScheme, reducedMotion: 'reduce' });
      const page = await context.newPage();
      page.on('pageerror', (error) => assert.fail(error.message));
      const all: string[] = [];
      for (const name of shown()) {
        assert.ok(pages.includes(name), name);
        await page.goto(address + name);
        await page.waitForFunction(() => document.body.style.display !== 'none');
        const wide = await page.evaluate(() => document.documentElement.scrollWidth);
        if (wide > viewport.width) all.push(`${name} is ${wide} pixels wide`);
        await page.addScriptTag({ path: axe });
        const found = await page.evaluate(async () => {
          const { axe } = window as unknown as {
            axe: {
              run(): Promise<{ violations: { id: string; nodes: { html: string }[] }[] }>;
            };
          };
          const { violations } = await axe.run();
          return violations.map(
            ({ id, nodes }) =>
              `${id}: ${nodes
                .slice(0, 3)
                .map(({ html }) => html.slice(0, 200))
                .join(' ')}`,
          );
        });
        all.push(...found.map((one) => `${name}: ${one}`));
      }
      assert.deepEqual(all, []);
      await context.close();
    });
