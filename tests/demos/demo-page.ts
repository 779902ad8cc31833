import assert from 'node:assert/strict';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { chromium, type Browser, type BrowserContextOptions, type Page } from 'playwright-core';
import { listen } from '../../demos/serve.mjs';
import { findBrowser } from '../find-browser.mjs';

const WAIT = 120_000;

/** The demos on two addresses, and a Chromium to use them with. */
export class DemoSite {
  readonly origin: string;
  readonly other: string;
  readonly #browser: Browser;
  readonly #servers: readonly Server[];
  readonly #complaints: string[] = [];

  private constructor(browser: Browser, servers: readonly Server[]) {
    this.#browser = browser;
    this.#servers = servers;
    [this.origin, this.other] = servers.map(originOf);
  }

  static async open(port: number): Promise<DemoSite> {
    const other = await listen(port + 50);
    const site = await listen(port, originOf(other));
    const browser = await chromium.launch({
      executablePath: await findBrowser('chromium'),
      args: process.getuid?.() === 0 ? ['--no-sandbox'] : [],
    });
    return new DemoSite(browser, [site, other]);
  }

  /** A demo by its folder and query. */
  async page(path: string, options: BrowserContextOptions = {}): Promise<Page> {
    const page = await (await this.#browser.newContext(options)).newPage();
    page.setDefaultTimeout(WAIT);
    page.on('pageerror', (error) => this.#complaints.push(`${path}: ${error.message}`));
    page.on('console', (message) => {
      // A folder need not have every file that one may have.
      const optional = message.location().url.endsWith('added_tokens.json');
      if (message.type() === 'error' && !optional)
        this.#complaints.push(`${path}: ${message.text()} ${message.location().url}`);
    });
    await page.goto(`${this.origin}/demos/${path}`);
    return page;
  }

  /** Ends everything; fails where a console complained. */
  async close(): Promise<void> {
    await this.#browser.close();
    for (const server of this.#servers) {
      server.closeAllConnections();
      server.close();
    }
    assert.deepEqual(this.#complaints, []);
  }
}

const originOf = (server: Server): string =>
  `http://localhost:${(server.address() as AddressInfo).port}`;

export async function done(page: Page): Promise<void> {
  await page.locator('#status', { hasText: /^Done in/ }).waitFor();
}

export async function draw(page: Page): Promise<void> {
  await page.getByRole('button', { name: 'Draw', exact: true }).click();
  await done(page);
}

/** Mean difference of two canvases' channels, 0 … 255; `[selector, which of them]`. */
export function apart(page: Page, a: [string, number], b: [string, number]): Promise<number> {
  return page.evaluate(
    ([left, right]) => {
      const [x, y] = [left, right].map(([selector, which]) => {
        const canvas = document.querySelectorAll(selector)[which] as HTMLCanvasElement;
        const small = new OffscreenCanvas(64, 64).getContext('2d')!;
        small.drawImage(canvas, 0, 0, 64, 64);
        return small.getImageData(0, 0, 64, 64).data;
      });
      return x.reduce((sum, value, i) => sum + Math.abs(value - y[i]), 0) / x.length;
    },
    [a, b] as const,
  );
}

/** How many of the canvases show a picture, and not one colour. */
export function pictures(page: Page, selector: string): Promise<number> {
  return page.$$eval(selector, (all) => {
    return all.filter((one) => {
      const canvas = one as HTMLCanvasElement;
      const { data } = canvas.getContext('2d')!.getImageData(0, 0, canvas.width, canvas.height);
      const colours = new Set<number>();
      for (let i = 0; i < data.length; i += 4)
        if (data[i + 3] > 0) colours.add((data[i] << 16) | (data[i + 1] << 8) | data[i + 2]);
      return colours.size > 8;
    }).length;
  });
}
