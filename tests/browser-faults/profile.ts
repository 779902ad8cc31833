import { spawn, type ChildProcess } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium, type Browser, type CDPSession, type Page } from 'playwright-core';
import { findBrowser } from '../find-browser.mjs';
import { sampleWorkerHeap } from '../support/worker-heap.mjs';
import type { FaultPage, ImportReport, ImportRequest } from './protocol.ts';

/** A browser that reports home at its start would blur what is counted. */
const QUIET = [
  '--headless=new',
  '--no-first-run',
  '--no-default-browser-check',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-default-apps',
  '--disable-extensions',
  '--disable-sync',
  '--metrics-recording-only',
  '--disable-breakpad',
  '--password-store=basic',
  '--use-mock-keychain',
  '--disable-gpu',
  // Tabs that nobody sees would be slowed down, and some of these have to be.
  '--disable-renderer-backgrounding',
  '--disable-background-timer-throttling',
  '--disable-backgrounding-occluded-windows',
];

const running = new Set<ChildProcess>();
process.once('exit', () => running.forEach(({ pid }) => process.kill(-pid!, 'SIGKILL')));
// A runner that gives up leaves no browsers behind.
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => process.exit(1));

/** A browser profile on disk, whose browser can be started, killed and started again. */
export class Profile {
  readonly folder = mkdtempSync(join(tmpdir(), 'sd-profile-'));
  readonly #origin: string;
  #child: ChildProcess | undefined;
  #browser: Browser | undefined;

  constructor(origin: string) {
    this.#origin = origin;
  }

  async start(): Promise<Page> {
    rmSync(join(this.folder, 'DevToolsActivePort'), { force: true });
    // A kill leaves this behind, and the next browser would take the profile for busy.
    for (const name of ['SingletonLock', 'SingletonSocket', 'SingletonCookie'])
      rmSync(join(this.folder, name), { force: true });
    const executable = await findBrowser('chromium');
    if (!executable) throw new Error('no Chromium was found; set CHROMIUM_PATH');
    const sandbox = process.getuid?.() === 0 ? ['--no-sandbox'] : [];
    this.#child = spawn(
      executable,
      [...QUIET, ...sandbox, '--remote-debugging-port=0', `--user-data-dir=${this.folder}`, 'about:blank'], // prettier-ignore
      // A group of its own, so that a kill takes its children too.
      { detached: true, stdio: 'ignore' },
    );
    const child = this.#child;
    running.add(child);
    child.once('exit', () => running.delete(child));
    const endpoint = await this.#endpoint();
    this.#browser = await chromium.connectOverCDP(endpoint);
    return this.page();
  }

  async #endpoint(): Promise<string> {
    const file = join(this.folder, 'DevToolsActivePort');
    for (let waited = 0; waited < 60_000; waited += 25) {
      if (existsSync(file)) {
        const [port, path] = readFileSync(file, 'utf8').split('\n');
        if (path) return `ws://127.0.0.1:${port}${path}`;
      }
      if (this.#child!.exitCode !== null) break;
      await new Promise((done) => setTimeout(done, 25));
    }
    throw new Error('the browser did not start');
  }

  /** A new tab with the page of these tests. */
  async page(): Promise<Page> {
    const page = await this.#browser!.contexts()[0].newPage();
    page.setDefaultTimeout(60_000);
    await page.goto(this.#origin);
    await until(page, 'importModel');
    return page;
  }

  devtools(page: Page): Promise<CDPSession> {
    return page.context().newCDPSession(page);
  }

  /** SIGKILL, as the system does when memory runs out: nothing is flushed, nobody says goodbye. */
  async kill(): Promise<void> {
    const child = this.#child!;
    const gone = new Promise((done) => child.once('exit', done));
    process.kill(-child.pid!, 'SIGKILL');
    await gone;
    await this.#browser?.close().catch(() => {});
  }

  /** Ends the browser as a person does, so that all is on disk. */
  async stop(): Promise<void> {
    const child = this.#child!;
    const gone = new Promise((done) => child.once('exit', done));
    const devtools = await this.#browser!.newBrowserCDPSession();
    await devtools.send('Browser.close').catch(() => {});
    await gone;
  }

  /** Files of the site's IndexedDB, with the size of each. */
  files(part: 'leveldb' | 'blob'): { path: string; size: number }[] {
    const root = join(this.folder, 'Default', 'IndexedDB');
    return (readdirSync(root, { recursive: true }) as string[])
      .filter((name) => name.includes(`.indexeddb.${part}`))
      .map((name) => ({ path: join(root, name), ...sizeOf(join(root, name)) }))
      .filter(({ isFile }) => isFile)
      .map(({ path, size }) => ({ path, size }));
  }

  /** Keeps the profile as it is now; the function that comes back puts it there again. */
  save(): () => void {
    const copy = mkdtempSync(join(tmpdir(), 'sd-profile-'));
    cpSync(this.folder, copy, { recursive: true, filter: isStorable });
    return () => {
      rmSync(this.folder, { recursive: true, force: true });
      cpSync(copy, this.folder, { recursive: true });
    };
  }

  clear(): void {
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

const isStorable = (path: string): boolean => !/Singleton|Cache|DevToolsActivePort/.test(path);

function sizeOf(path: string): { size: number; isFile: boolean } {
  const stat = statSync(path);
  return { size: stat.size, isFile: stat.isFile() };
}

/** Waits for a global of the page, and gives it. By the clock: hidden tabs draw no frames. */
export async function until<Name extends keyof FaultPage>(
  page: Page,
  name: Name,
): Promise<FaultPage[Name]> {
  const handle = await page.waitForFunction(
    (it) => (globalThis as unknown as FaultPage)[it as Name],
    name,
    { polling: 10 },
  );
  return (await handle.jsonValue()) as FaultPage[Name];
}

/** The most that V8's heap and the array buffers of an importing worker were seen to hold, in bytes. */
export const peak = { heap: 0, buffers: 0, samples: 0 };

/** Imports in a worker of the page, and watches its memory. */
export async function importModel(page: Page, request: ImportRequest): Promise<ImportReport> {
  const devtools = await page.context().browser()!.newBrowserCDPSession();
  const stop = await sampleWorkerHeap(devtools);
  try {
    return await page.evaluate(
      (it) => (globalThis as unknown as FaultPage).importModel(it),
      request,
    );
  } finally {
    const { heap, buffers, samples } = await stop();
    peak.heap = Math.max(peak.heap, heap);
    peak.buffers = Math.max(peak.buffers, buffers);
    peak.samples += samples;
  }
}

export const draw = (page: Page, url: string): ReturnType<FaultPage['draw']> =>
  page.evaluate((it) => (globalThis as unknown as FaultPage).draw(it), url);
