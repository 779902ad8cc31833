// WebKitGTK (Debian: webkit2gtk-driver, libwebkit2gtk-4.1-0, xvfb) by plain W3C WebDriver.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const ELEMENT = 'element-6066-11e4-a52e-4f735466cecf';

/** MiniBrowser lies beside the library, in a folder named after the processor. */
export function findWebKit() {
  const given = process.env.WEBKIT_PATH;
  if (given) return given;
  const lib = '/usr/lib';
  const folders = existsSync(lib) ? readdirSync(lib).map((name) => join(lib, name)) : [];
  return [lib, ...folders]
    .map((folder) => join(folder, 'webkit2gtk-4.1', 'MiniBrowser'))
    .find((path) => existsSync(path));
}

const has = (command) => spawnSync('sh', ['-c', `command -v ${command}`]).status === 0;

const freePort = () =>
  new Promise((done, fail) => {
    const server = createServer().on('error', fail);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => done(port));
    });
  });

/** A screen that nobody looks at; Xvfb writes the number it chose to its third descriptor. */
async function screen() {
  if (process.env.DISPLAY) return { display: process.env.DISPLAY, stop() {} };
  const child = spawn(
    'Xvfb',
    ['-displayfd', '3', '-screen', '0', '1280x900x24', '-nolisten', 'tcp'],
    {
      stdio: ['ignore', 'ignore', 'ignore', 'pipe'],
    },
  );
  const number = await new Promise((done, fail) => {
    child.once('error', fail);
    child.once('exit', (code) => fail(new Error(`Xvfb ended with ${code}.`)));
    child.stdio[3].once('data', (data) => done(String(data).trim()));
  });
  child.removeAllListeners('exit');
  return { display: `:${number}`, stop: () => child.kill() };
}

/**
 * Opens WebKitGTK's MiniBrowser.
 * @returns a page with a few of WebDriver's verbs; `close()` ends everything that was started
 * @throws Error that names the packages, where they are not installed
 */
export async function openWebKit() {
  const binary = findWebKit();
  if (!binary || !has('WebKitWebDriver') || !(process.env.DISPLAY || has('Xvfb')))
    throw new Error(
      'WebKitGTK was not found: apt-get install webkit2gtk-driver libwebkit2gtk-4.1-0 xvfb.',
    );
  const { display, stop } = await screen();
  const home = mkdtempSync(join(tmpdir(), 'sd-webkit-'));
  const port = await freePort();
  const driver = spawn('WebKitWebDriver', [`--port=${port}`, '--host=127.0.0.1'], {
    stdio: 'ignore',
    env: {
      ...process.env,
      DISPLAY: display,
      HOME: home,
      XDG_RUNTIME_DIR: home,
      // No GPU, no accessibility bus, no proxy between us and the local server.
      WEBKIT_DISABLE_COMPOSITING_MODE: '1',
      LIBGL_ALWAYS_SOFTWARE: '1',
      NO_AT_BRIDGE: '1',
      GTK_A11Y: 'none',
      GIO_USE_PROXY_RESOLVER: 'dummy',
    },
  });
  const end = () => {
    driver.kill();
    stop();
    rmSync(home, { recursive: true, force: true, maxRetries: 5 });
  };

  const call = async (method, path, body) => {
    const answer = await fetch(`http://127.0.0.1:${port}${path}`, {
      method,
      ...(body && { body: JSON.stringify(body) }),
    });
    const { value } = await answer.json();
    if (!answer.ok) throw new Error(`WebKit: ${value?.error}: ${value?.message}`);
    return value;
  };

  try {
    for (let i = 0; ; i++) {
      const ready = await call('GET', '/status').catch(() => undefined);
      if (ready) break;
      if (i === 100) throw new Error('WebKitWebDriver did not start.');
      await new Promise((done) => setTimeout(done, 100));
    }
    const { sessionId, capabilities } = await call('POST', '/session', {
      capabilities: {
        alwaysMatch: { 'webkitgtk:browserOptions': { binary, args: ['--automation'] } },
      },
    });
    const at = `/session/${sessionId}`;
    await call('POST', `${at}/timeouts`, { script: 600_000, pageLoad: 120_000 });
    const find = async (css) => {
      const found = await call('POST', `${at}/element`, { using: 'css selector', value: css });
      return `${at}/element/${found[ELEMENT]}`;
    };
    return {
      version: `WebKitGTK ${capabilities.browserVersion}`,
      goto: (url) => call('POST', `${at}/url`, { url }),
      /** Runs the body of an async function in the page, with `arguments`. */
      evaluate: (body, ...args) =>
        call('POST', `${at}/execute/async`, {
          script: `const done = arguments[arguments.length - 1];
            (async function () { ${body} }).apply(null, [...arguments].slice(0, -1))
              .then((value) => done({ value }), (error) => done({ error: String(error?.message ?? error) }));`,
          args,
        }).then(({ value, error }) => {
          if (error !== undefined) throw new Error(error);
          return value;
        }),
      click: async (css) => call('POST', `${await find(css)}/click`, {}),
      text: async (css) => call('GET', `${await find(css)}/text`),
      screenshot: async () => Buffer.from(await call('GET', `${at}/screenshot`), 'base64'),
      async close() {
        await call('DELETE', at).catch(() => {});
        end();
      },
    };
  } catch (error) {
    end();
    throw error;
  }
}
