import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { VERSION } from '../../sdk/version.ts';
import { API_REPORT, apiReport } from '../support/api-report.ts';
import { sizes } from '../support/sizes.ts';

interface Manifest {
  readonly version: string;
  readonly sideEffects: readonly string[];
  readonly exports: Record<string, string | { types: string; default: string }>;
  readonly dependencies: Record<string, string>;
  readonly scripts: Record<string, string>;
}
const manifest = JSON.parse(readFileSync('package.json', 'utf8')) as Manifest;

test('the version in the code is the one in package.json', () => {
  assert.equal(VERSION, manifest.version);
});

test('everything that package.json exports was built, types first', () => {
  for (const [name, target] of Object.entries(manifest.exports)) {
    const files = typeof target === 'string' ? [target] : Object.values(target);
    if (typeof target !== 'string') assert.deepEqual(Object.keys(target), ['types', 'default']);
    for (const file of files)
      assert.ok(existsSync(file.replace(/\*$/, '')), `${name}: ${file} is not there`);
  }
});

test('a server can import the package', async () => {
  for (const file of ['index', 'inline']) {
    const path = `../../dist/${file}.js`;
    const { StableDiffusion, isSDError } = (await import(
      path
    )) as typeof import('../../sdk/index.ts');
    assert.equal(typeof StableDiffusion.load, 'function');
    const { backend, wasm } = await StableDiffusion.availability();
    assert.equal(typeof wasm.available, 'boolean');
    assert.ok(backend === undefined || backend === 'wasm' || backend === 'webgpu');
    await assert.rejects(StableDiffusion.load([]), (error) => isSDError(error));
  }
});

test('a server can import the element and the hook, which share the handle with the package', async () => {
  const [element, react] = ['../../dist/element.js', '../../dist/react.js'];
  const { StableDiffusionElement } = (await import(
    element
  )) as typeof import('../../sdk/element/index.ts');
  const { useStableDiffusion } = (await import(react)) as typeof import('../../sdk/react/index.ts');
  assert.equal(StableDiffusionElement.formAssociated, true);
  assert.equal(typeof useStableDiffusion, 'function');
  for (const file of ['element', 'react'])
    assert.match(readFileSync(`dist/${file}.js`, 'utf8'), /from\s*["']\.\/index\.js["']/);
  assert.deepEqual(manifest.sideEffects, ['./dist/element.js', './dist/formats.js']);
});

test('nothing runs when the package is installed, and it has two dependencies', () => {
  for (const script of ['preinstall', 'install', 'postinstall', 'prepare'])
    assert.equal(manifest.scripts[script], undefined);
  assert.deepEqual(Object.keys(manifest.dependencies), ['comlink', 'idb-keyval']);
});

test('what is downloaded stays small', () => {
  for (const { name, size, limit } of sizes('dist'))
    assert.ok(size <= limit, `${name}: ${size} bytes of at most ${limit}`);
});

test('the public interface is the one that was reviewed', () => {
  const now = apiReport('dist').split('\n');
  const then = readFileSync(API_REPORT, 'utf8').split('\n');
  const changes = [
    ...then.filter((line) => !now.includes(line)).map((line) => `- ${line}`),
    ...now.filter((line) => !then.includes(line)).map((line) => `+ ${line}`),
  ];
  assert.ok(
    now.join() === then.join(),
    `${changes.join('\n')}\nWhere this is meant, accept it: npm run build && npm run api`,
  );
});
