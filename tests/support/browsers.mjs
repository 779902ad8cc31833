// The three browser engines behind one small interface, for what must be said of all of them.
import { existsSync } from 'node:fs';
import { findBrowser } from '../find-browser.mjs';
import { openWebKit } from './webkit.mjs';

export const ENGINES = ['chromium', 'firefox', 'webkit'];

async function openChromium() {
  const { chromium } = await import('playwright-core');
  const browser = await chromium.launch({
    executablePath: await findBrowser('chromium'),
    args: process.getuid?.() === 0 ? ['--no-sandbox'] : [],
  });
  // The pages' own policy forbids `eval`, which is how code gets into them here.
  const page = await (await browser.newContext({ bypassCSP: true })).newPage();
  return {
    version: `Chromium ${browser.version()}`,
    goto: (url) => page.goto(url),
    evaluate: (body, ...args) =>
      page.evaluate(`(async function () { ${body} }).apply(null, ${JSON.stringify(args)})`),
    close: () => browser.close(),
  };
}

async function openFirefox() {
  // playwright-core drives only a Firefox of its own.
  const { default: puppeteer } = await import('puppeteer-core');
  const executablePath = await findBrowser('firefox');
  if (!executablePath || !existsSync(executablePath)) throw new Error('Firefox was not found.');
  const browser = await puppeteer.launch({ browser: 'firefox', executablePath });
  const page = await browser.newPage();
  return {
    version: (await browser.version()).replace('/', ' '),
    goto: (url) => page.goto(url),
    evaluate: (body, ...args) =>
      page.evaluate(`(async function () { ${body} }).apply(null, ${JSON.stringify(args)})`),
    close: () => browser.close(),
  };
}

const OPEN = { chromium: openChromium, firefox: openFirefox, webkit: openWebKit };

/**
 * @param {'chromium' | 'firefox' | 'webkit'} name
 * @returns {Promise<{ version: string, goto(url: string): Promise<unknown>,
 *   evaluate(body: string, ...args: unknown[]): Promise<any>, close(): Promise<void> }>}
 */
export const openBrowser = (name) => OPEN[name]();
