// `node tests/run.mjs [suite …]`: runs the named suites (default: those of `npm test`), each with its
// own output, and ends with one line `N passed, N failed`.
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { findBrowser } from './find-browser.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const scratch = mkdtempSync(join(tmpdir(), 'sd-tests-'));

const node =
  (folder, { pick = () => true, atOnce = 2 } = {}) =>
  () =>
    nodeTests(testsIn(folder).filter(pick), atOnce);
const isGpu = (file) => file.includes('/webgpu-');
const browser = (name, env) => () => browserTests(name, env);
const suites = {
  unit: node('tests/unit'),
  parity: node('tests/parity', { pick: (file) => !isGpu(file) }),
  // Every kernel on a software GPU: minutes, so not part of `npm test`.
  kernels: node('tests/parity', { pick: isGpu }),
  faults: node('tests/faults'),
  // Browsers killed, profiles damaged, tabs crashed: minutes too.
  'browser-faults': node('tests/browser-faults'),
  demos: node('tests/demos', { pick: (file) => !/\/(firefox|accessibility)/.test(file) }),
  // axe over every demo, and the demos in Firefox.
  accessibility: node('tests/demos', { pick: (file) => file.includes('/accessibility') }),
  'firefox-demos': node('tests/demos', { pick: (file) => file.includes('/firefox') }),
  // Safari's engine, as Debian builds it; and the site of the documentation.
  webkit: node('tests/webkit'),
  docs: node('tests/docs'),
  // The apps of demos/frameworks/, installed and built: minutes.
  frameworks: node('tests/frameworks'),
  // The packed package in every bundler, in one scratch project; and under every policy.
  matrix: node('tests/matrix', { atOnce: 1 }),
  csp: node('tests/csp'),
  chromium: browser('chromium'),
  plain: browser('chromium', { SD_KIND: 'plain' }),
  gpu: browser('chromium', { SD_KIND: 'gpu' }),
  firefox: browser('firefox'),
  'firefox-gpu': browser('firefox', { SD_KIND: 'gpu' }),
};
const EVERY_TIME = ['unit', 'parity', 'faults', 'chromium', 'plain', 'demos'];

function run(command, args, env = {}) {
  return new Promise((done) => {
    const child = spawn(command, args, {
      cwd: root,
      stdio: 'inherit',
      env: { ...process.env, ...env },
    });
    child.on('error', (error) => {
      console.error(error.message);
      done(1);
    });
    child.on('exit', (code) => done(code ?? 1));
  });
}

const testsIn = (folder) =>
  existsSync(join(root, folder))
    ? readdirSync(join(root, folder), { recursive: true })
        .filter((name) => name.endsWith('.test.ts'))
        .map((name) => `${folder}/${name}`)
        .sort()
    : [];

async function nodeTests(files, atOnce) {
  if (files.length === 0) return { passed: 0, failed: 0 };
  const tap = join(scratch, 'tap');
  const reporters = ['spec', 'tap'].map((name) => `--test-reporter=${name}`);
  const to = ['stdout', tap].map((name) => `--test-reporter-destination=${name}`);
  const code = await run(process.execPath, [
    ...['--import', 'tsx', '--test', `--test-concurrency=${atOnce}`, ...reporters, ...to, ...files],
  ]);
  const text = existsSync(tap) ? readFileSync(tap, 'utf8') : '';
  const count = (name) => Number(new RegExp(`^# ${name} (\\d+)$`, 'm').exec(text)?.[1] ?? 0);
  const failed = count('fail') + count('cancelled');
  // A runner that died before its summary is a failure too.
  return { passed: count('pass'), failed: code !== 0 && failed === 0 ? 1 : failed };
}

async function browserTests(name, env = {}) {
  if (testsIn('tests/browser').length === 0) return { passed: 0, failed: 0 };
  const executable = await findBrowser(name);
  if (!executable) {
    console.error(`No ${name} was found: install it, or set ${name.toUpperCase()}_PATH.`);
    return { passed: 0, failed: 1 };
  }
  const counts = join(scratch, `${name}.json`);
  const code = await run(
    process.execPath,
    ['node_modules/@web/test-runner/dist/bin.js', '--config', 'web-test-runner.config.mjs'],
    { ...env, SD_BROWSER: name, SD_BROWSER_PATH: executable, SD_COUNTS: counts },
  );
  const { passed, failed } = existsSync(counts)
    ? JSON.parse(readFileSync(counts, 'utf8'))
    : { passed: 0, failed: 1 };
  return { passed, failed: code !== 0 && failed === 0 ? 1 : failed };
}

const wanted = process.argv.slice(2).length > 0 ? process.argv.slice(2) : EVERY_TIME;
const unknown = wanted.filter((name) => !(name in suites));
if (unknown.length > 0) {
  console.error(`No suite ${unknown.join(', ')}. There are: ${Object.keys(suites).join(', ')}.`);
  process.exit(1);
}
const total = { passed: 0, failed: 0 };
for (const name of wanted) {
  const begin = Date.now();
  console.log(`\n== ${name}`);
  const { passed, failed } = await suites[name]();
  const seconds = ((Date.now() - begin) / 1000).toFixed(1);
  console.log(`== ${name}: ${passed} passed, ${failed} failed (${seconds} s)`);
  total.passed += passed;
  total.failed += failed;
}
rmSync(scratch, { recursive: true, force: true });
// A run that ran nothing has shown nothing.
if (total.passed === 0 && total.failed === 0) total.failed = 1;
console.log(`\n${total.passed} passed, ${total.failed} failed`);
process.exit(total.failed > 0 ? 1 : 0);
