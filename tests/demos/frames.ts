import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { Server } from 'node:http';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  chromium,
  type Browser,
  type BrowserContext,
  type Frame,
  type Page,
} from 'playwright-core';
import { listen } from '../../demos/serve.mjs';
import { findBrowser } from '../find-browser.mjs';

// Sites for the tests of the embed: `localhost` has the frame; `127.0.0.1` and `*.localhost` have the
// pages around it, which send no headers but those they are given.

/** What the frame tells through its port. */
export interface Told {
  readonly type: string;
  readonly code?: string;
  readonly seed?: number;
  readonly file?: File;
}
/** The window around, in pages that begin with {@link LISTEN}. */
export interface Around extends Window {
  readonly told: Told[];
  readonly posted: { origin: string; ports: number }[];
}

/** Keeps what reaches the page around the frame. */
export const LISTEN = `
  <body>
  <script>
    window.told = [];
    window.posted = [];
    addEventListener('message', ({ origin, ports }) => posted.push({ origin, ports: ports.length }));
  </script>`;

export interface PageAround {
  readonly html: string;
  readonly headers?: Readonly<Record<string, string>>;
}

export class Sites {
  readonly browser: Browser;
  /** The frame's folder. */
  readonly frames: string;
  /** The origin of the pages around. */
  readonly around: string;
  readonly pages = new Map<string, PageAround>();
  readonly #servers: readonly Server[];
  readonly #folders: string[] = [];

  private constructor(browser: Browser, site: Server, host: Server) {
    const port = (server: Server) => (server.address() as AddressInfo).port;
    this.browser = browser;
    this.frames = `http://localhost:${port(site)}/demos/embed/`;
    this.around = `http://127.0.0.1:${port(host)}`;
    this.#servers = [site, host];
    host.on('request', ({ url }, response) => {
      const page = this.pages.get(url ?? '/');
      for (const [name, value] of Object.entries(page?.headers ?? {}))
        response.setHeader(name, value);
      response.writeHead(page ? 200 : 404, { 'Content-Type': 'text/html' });
      response.end(page?.html);
    });
  }

  static async open(): Promise<Sites> {
    const site = await listen(8300);
    const host = createServer();
    await new Promise<void>((done) => host.listen(0, '127.0.0.1', done));
    const browser = await chromium.launch({
      executablePath: await findBrowser('chromium'),
      args: process.getuid?.() === 0 ? ['--no-sandbox'] : [],
    });
    return new Sites(browser, site, host);
  }

  /**
   * A browser as people have it: Playwright's contexts are private windows, where frames of other sites
   * have no storage, and it switches the partitions of storage off.
   */
  async profile(): Promise<BrowserContext> {
    const folder = mkdtempSync(join(tmpdir(), 'sd-profile-'));
    mkdirSync(join(folder, 'Default'));
    // 0: cookies of frames are not blocked, which is Chromium's own default.
    const preferences = { profile: { cookie_controls_mode: 0, block_third_party_cookies: false } };
    writeFileSync(join(folder, 'Default/Preferences'), JSON.stringify(preferences));
    const context = await chromium.launchPersistentContext(folder, {
      executablePath: await findBrowser('chromium'),
      args: [
        ...(process.getuid?.() === 0 ? ['--no-sandbox'] : []),
        '--enable-features=ThirdPartyStoragePartitioning',
        // The last of these switches wins: Playwright's own list, without the partitions.
        '--disable-features=HttpsUpgrades,MediaRouter,OptimizationHints,NetworkTimeServiceQuerying,PreconnectToSearch,Translate',
      ],
    });
    this.#folders.push(folder);
    return context;
  }

  async close(): Promise<void> {
    await this.browser.close();
    for (const server of this.#servers) server.close();
    // The browser is still writing its last when it says that it has closed.
    for (const folder of this.#folders)
      rmSync(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 200 });
  }

  /** Opens a page around, and waits for the frame in it. */
  async visit(address: string, context?: BrowserContext): Promise<{ page: Page; frame: Frame }> {
    const page = await (context ?? (await this.browser.newContext())).newPage();
    page.setDefaultTimeout(60_000);
    await page.goto(new URL(address, this.around).href);
    const handle = await page.waitForSelector('iframe');
    const frame = (await handle.contentFrame())!;
    await frame.waitForSelector('stable-diffusion[src]', { state: 'attached' });
    return { page, frame };
  }
}

/** Clicks and waits for the picture. @returns what it was drawn on */
export async function draw(frame: Frame): Promise<string> {
  await frame.getByRole('button', { name: 'Draw' }).click();
  await frame
    .getByText(/^Done in [\d.]+ s, seed \d+/)
    .first()
    .waitFor();
  return frame.evaluate(
    async () => (await document.querySelector('stable-diffusion')!.load()).info.device,
  );
}

export const told = (page: Page) => page.evaluate(() => (window as unknown as Around).told);
export const posted = (page: Page) => page.evaluate(() => (window as unknown as Around).posted);
export const note = async (frame: Frame) => (await frame.locator('#note').textContent())!;
