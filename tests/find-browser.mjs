// Finds an installed browser, or gets a Chromium where there is none.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const windows = [
  process.env.PROGRAMFILES,
  process.env['PROGRAMFILES(X86)'],
  process.env.LOCALAPPDATA,
].filter(Boolean);

const COMMANDS = {
  chromium: ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable', 'chrome'],
  firefox: ['firefox-esr', 'firefox'],
};
const PLACES = {
  chromium: [
    '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
    '/Applications/Chromium.app/Contents/MacOS/Chromium',
    '/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge',
    ...windows.map((folder) => join(folder, 'Google/Chrome/Application/chrome.exe')),
    ...windows.map((folder) => join(folder, 'Microsoft/Edge/Application/msedge.exe')),
    '/snap/bin/chromium',
  ],
  firefox: [
    '/Applications/Firefox.app/Contents/MacOS/firefox',
    ...windows.map((folder) => join(folder, 'Mozilla Firefox/firefox.exe')),
  ],
};

function onPath(command) {
  for (const folder of (process.env.PATH ?? '').split(process.platform === 'win32' ? ';' : ':'))
    if (folder && existsSync(join(folder, command))) return join(folder, command);
  return undefined;
}

/** The Chromium that playwright-core keeps, or would keep, in its own cache. */
async function playwrightChromium() {
  const { chromium } = await import('playwright-core');
  return chromium.executablePath();
}

/**
 * @param {'chromium' | 'firefox'} name
 * @returns {Promise<string | undefined>} the path of its executable
 */
export async function findBrowser(name) {
  const given = [process.env[`${name.toUpperCase()}_PATH`]];
  if (name === 'chromium')
    given.push(process.env.CHROME_PATH, process.env.PUPPETEER_EXECUTABLE_PATH);
  const found = [...given, ...COMMANDS[name].map(onPath), ...PLACES[name]].find(
    (path) => path && existsSync(path),
  );
  if (found || name !== 'chromium') return found;
  const own = await playwrightChromium();
  if (existsSync(own)) return own;
  console.log('No Chromium was found; getting one with playwright-core.');
  spawnSync(process.execPath, ['node_modules/playwright-core/cli.js', 'install', 'chromium'], {
    cwd: root,
    stdio: 'inherit',
  });
  return existsSync(own) ? own : undefined;
}
