import assert from 'node:assert/strict';
import { readFileSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { sizes } from '../support/sizes.ts';
import { pack, project, run, type Packed } from './project.ts';

// The tarball that `npm publish` would send: what tools say of it, and how large it is.

const MIB = 2 ** 20;
/** With its two dependencies. */
const LIMITS = { tarball: 1.25 * MIB, installed: 4.5 * MIB, files: 40 };

let packed: Packed & { readonly path: string };
let folder: string;
before(() => {
  packed = pack();
  folder = project(packed.path);
});

const bytesIn = (path: string): number =>
  statSync(path).isDirectory()
    ? readdirSync(path).reduce((sum, name) => sum + bytesIn(join(path, name)), 0)
    : statSync(path).size;

test('publint has nothing to say', () => {
  const said = run(folder, 'npx', '--no', 'publint', 'run', packed.path, '--strict');
  assert.match(said, /All good!/);
});

test('are-the-types-wrong finds nothing', () => {
  // The package is ES modules only, as its manual says: `require` of Node 20 gets no types for it.
  run(folder, 'npx', '--no', 'attw', packed.path, '--profile', 'esm-only', '--no-emoji');
});

test('a server imports every entry of the installed package without a browser’s globals', () => {
  const entries = ['', '/inline', '/element', '/parameters', '/react'];
  const script = `
    for (const name of ['window', 'document', 'HTMLElement', 'customElements', 'indexedDB', 'Worker'])
      if (name in globalThis) throw new Error(name + ' is there');
    for (const entry of ${JSON.stringify(entries)}) {
      const exported = Object.keys(await import('stable-diffusion-web' + entry));
      if (exported.length === 0) throw new Error(entry + ' exports nothing');
      console.log(entry || '.', exported.join(' '));
    }`;
  const said = run(folder, process.execPath, '--input-type=module', '--eval', script);
  assert.equal(said.trim().split('\n').length, entries.length);
});

test('sizes', (context) => {
  const dependencies = ['stable-diffusion-web', 'comlink', 'idb-keyval'];
  const whole = {
    tarball: statSync(packed.path).size,
    installed: dependencies.reduce(
      (sum, name) => sum + bytesIn(join(folder, 'node_modules', name)),
      0,
    ),
    files: packed.files.length,
  };
  for (const [name, size] of Object.entries(whole)) {
    const limit = LIMITS[name as keyof typeof LIMITS];
    context.diagnostic(`${name}: ${size} of at most ${limit}`);
    assert.ok(size <= limit, `${name}: ${size} of at most ${limit}`);
  }
  const own = join(folder, 'node_modules/stable-diffusion-web/dist');
  for (const part of sizes(own)) {
    for (const [file, size] of part.files) context.diagnostic(`${file}: ${size} (brotli)`);
    context.diagnostic(`${part.name}: ${part.size} of at most ${part.limit} (brotli)`);
    assert.ok(part.size <= part.limit, `${part.name}: ${part.size} of at most ${part.limit}`);
  }
});

test('its manifest runs nothing at installation', () => {
  const manifest = JSON.parse(
    readFileSync(join(folder, 'node_modules/stable-diffusion-web/package.json'), 'utf8'),
  ) as { scripts: Record<string, string> };
  for (const name of ['preinstall', 'install', 'postinstall', 'prepare'])
    assert.equal(manifest.scripts[name], undefined);
});
