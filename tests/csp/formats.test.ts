import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import puppeteer, { type Browser, type Page } from 'puppeteer-core';
import type { StableDiffusion } from '../../sdk/index.ts';
import { findBrowser } from '../find-browser.mjs';
import { compVisFile } from '../support/compvis.ts';
import { below, openSite, type Answer, type Site } from '../support/site.ts';
import { f32, writeSafetensors } from '../unit/weights-helpers.ts';

// dist/formats.js as a server may give it: not at all, late, as something else, of another version. And how
// often it is asked for.

const scratch = mkdtempSync(join(tmpdir(), 'sd-formats-'));
const MODULE = 'lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q';
const files: Record<string, Uint8Array> = {
  'lora.safetensors': writeSafetensors([
    [`${MODULE}.lora_up.weight`, f32(new Array<number>(8).fill(1), [8, 1])],
    [`${MODULE}.lora_down.weight`, f32(new Array<number>(8).fill(1), [1, 8])],
  ]),
  'old.js': new TextEncoder().encode(
    `globalThis[Symbol.for('stable-diffusion-web/formats')] = { VERSION: '0.0.1' };`,
  ),
};

/** What the site gives for dist/formats.js; the file itself where nothing is said. */
let instead: { answer: Answer | undefined } | undefined;
let asked = 0;
let site: Site;
before(async () => {
  files['tiny.safetensors'] = await compVisFile((path) =>
    readFileSync(`tests/fixtures/tiny-model/${path}`),
  );
  for (const [name, bytes] of Object.entries(files)) writeFileSync(join(scratch, name), bytes);
  site = await openSite((path) => {
    if (path === '/') return { html: '<!doctype html><title>A page</title>' };
    if (path in { '/lora.safetensors': 1, '/tiny.safetensors': 1 }) return below(scratch, path);
    if (path.startsWith('/tiny-model/')) return below('tests/fixtures', path);
    if (path !== '/dist/formats.js') return below('.', path);
    asked++;
    return instead ? instead.answer : below('.', path);
  });
});
after(() => {
  site.close();
  rmSync(scratch, { recursive: true });
});

interface Testbed extends Window {
  sd: StableDiffusion;
  load: typeof StableDiffusion.load;
  /** How a promise ends: its value, or the error's code, message and `retryable`. */
  ending(promise: Promise<unknown>): Promise<unknown>;
  draw(): Promise<string>;
}
type Failure = { code: string; message: string; retryable: boolean };
const PREPARE = `(async () => {
  const { StableDiffusion } = await import('/dist/index.js');
  self.load = (model, options) => StableDiffusion.load(model, { backend: 'wasm', keep: false, ...options });
  self.ending = (promise) => promise.then(
    () => 'done',
    ({ code, message, retryable }) => ({ code, message, retryable }),
  );
  self.draw = async () => {
    const { image } = await sd.generate({ prompt: 'the lake', steps: 2, seed: 7 });
    return image.data.join();
  };
})()`;

for (const name of ['chromium', 'firefox'] as const)
  describe(name, { timeout: 300_000 }, () => {
    let browser: Browser;
    let page: Page;
    before(async () => {
      browser = await puppeteer.launch({
        browser: name === 'chromium' ? 'chrome' : name,
        executablePath: await findBrowser(name),
        args: name === 'chromium' && process.getuid?.() === 0 ? ['--no-sandbox'] : [],
      });
      page = await browser.newPage();
      await page.goto(`${site.origin}/`);
      await page.evaluate(PREPARE);
    });
    after(() => browser.close());

    const wear = (loras: string[]): Promise<unknown> =>
      page.evaluate((sources) => {
        const { sd, ending } = globalThis as unknown as Testbed;
        return ending(sd.setLoras(sources.map((source) => ({ source }))));
      }, loras);
    const draw = (): Promise<string> =>
      page.evaluate(() => (globalThis as unknown as Testbed).draw());

    test('a folder never asks; a LoRA does, again after each failure, and once when it is there', async () => {
      [asked, instead] = [0, undefined];
      await page.evaluate(async () => {
        const bed = globalThis as unknown as Testbed;
        bed.sd = await bed.load('/tiny-model/');
      });
      const plain = await draw();
      assert.equal(asked, 0);
      for (const [answer, pattern] of [
        [undefined, /formats\.js could not be imported.*script-src/],
        [{ html: 'Sign in first' }, /formats\.js could not be imported.*as JavaScript/],
        [{ file: join(scratch, 'old.js') }, /formats\.js is version 0\.0\.1: clear the cache/],
      ] as const) {
        instead = { answer };
        const before = asked;
        const { code, message, retryable } = (await wear(['/lora.safetensors'])) as Failure;
        assert.equal(code, 'NETWORK');
        assert.match(message, pattern);
        assert.equal(retryable, true);
        assert.ok(asked > before, 'it was asked for again');
        assert.equal(await draw(), plain);
      }
      instead = undefined;
      asked = 0;
      for (let times = 0; times < 2; times++) {
        assert.equal(await wear(['/lora.safetensors']), 'done');
        assert.notEqual(await draw(), plain);
        assert.equal(await wear([]), 'done');
        assert.equal(await draw(), plain);
      }
      assert.equal(asked, 1);
      await page.evaluate(() => (globalThis as unknown as Testbed).sd.dispose());
    });

    test('an abort while it is on its way ends the load at once, and the next one works', async () => {
      instead = { answer: { never: true } };
      asked = 0;
      const loading = page.evaluate(async () => {
        const { load, ending } = globalThis as unknown as Testbed;
        const controller = new AbortController();
        const parts = { unet: '/tiny.safetensors' };
        const ended = ending(load('/tiny-model/', { parts, signal: controller.signal }));
        addEventListener('stop', () => controller.abort(), { once: true });
        return [await ended, performance.now()];
      });
      while (asked === 0) await new Promise((done) => setTimeout(done, 20));
      const stopped = await page.evaluate(() => {
        dispatchEvent(new Event('stop'));
        return performance.now();
      });
      const [failure, ended] = (await loading) as [Failure, number];
      assert.equal(failure.code, 'ABORTED');
      assert.ok(ended - stopped < 1000, `${ended - stopped} ms`);
      instead = undefined;
      await page.evaluate(async () => {
        const bed = globalThis as unknown as Testbed;
        bed.sd = await bed.load('/tiny-model/', { parts: { unet: '/tiny.safetensors' } });
      });
      assert.ok((await draw()).length > 0);
    });
  });
