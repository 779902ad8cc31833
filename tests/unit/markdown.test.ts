import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { GENERATE, LOAD } from '../../sdk/element/attributes.ts';

// What the Markdown of the repository names is there. The site's own links are tests/docs/.
const root = fileURLToPath(new URL('../..', import.meta.url));
const read = (file: string) => readFileSync(join(root, file), 'utf8');

const FOLDERS = ['demos', 'docs', 'kernels', 'sdk', 'tests', 'wasm'];
const files = [
  ...readdirSync(root),
  ...FOLDERS.flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true }).map((name) => `${folder}/${String(name)}`),
  ),
].filter((name) => name.endsWith('.md') && !name.includes('node_modules'));

/** Everything that `find` finds in the Markdown and that `isThere` does not know, with its file. */
function missing(
  find: (text: string) => string[],
  isThere: (one: string, file: string) => boolean,
) {
  let seen = 0;
  const found = files.flatMap((file) =>
    find(read(file)).flatMap((one) => {
      seen++;
      return isThere(one, file) ? [] : [`${file}: ${one}`];
    }),
  );
  assert.ok(seen > 0, 'nothing was looked for');
  return found;
}
const all = (pattern: RegExp) => (text: string) =>
  [...text.matchAll(pattern)].map(([, one]) => one.trim());

test('every relative link of the Markdown leads to a file', () => {
  const links = missing(all(/\]\(([^)\s]+)\)/g), (link, file) => {
    if (/^(https?:|#)/.test(link)) return true;
    // Pages that `npm run docs` writes; their links are tried there.
    if (link.includes('build/docs/') || file === 'docs/errors.md') return true;
    return existsSync(join(root, dirname(file), link.split('#')[0]));
  });
  assert.deepEqual(links, []);
});

test('every file that the Markdown names is there', () => {
  const named = missing(
    all(new RegExp(`[\`\\s(]((?:${FOLDERS.join('|')})/[\\w./-]+)`, 'g')),
    (path, file) => {
      const clean = path.replace(/[.,:]+$/, '');
      return existsSync(join(root, clean)) || existsSync(join(root, dirname(file), clean));
    },
  );
  assert.deepEqual(named, []);
});

test('every command of the Markdown exists', () => {
  const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
  const unknown = missing(all(/npm run (?:--silent )?([\w:]+)/g), (name) => name in scripts);
  const [, list] = /const suites = \{([\s\S]*?)\n\};/.exec(read('tests/run.mjs'))!;
  const suites = new Set([...list.matchAll(/^ {2}'?([\w-]+)'?:/gm)].map(([, name]) => name));
  assert.ok(suites.has('firefox-demos'));
  const suite = missing(all(/node tests\/run\.mjs((?: [a-z-]+)+)/g), (names) =>
    names.split(' ').every((name) => suites.has(name)),
  );
  assert.deepEqual([...unknown, ...suite], []);
});

test('no Markdown names a folder of somebody’s machine, or holds what a crash printed', () => {
  assert.deepEqual(
    files.filter((file) =>
      /(^|[\s`(])\/(home|root|work|tmp|opt|Users)\/|node:internal/m.test(read(file)),
    ),
    [],
  );
});

test('the README tells of every error code, and of no other', () => {
  const codes = [...read('sdk/errors.ts').matchAll(/^ {2}\| '([A-Z_]+)'/gm)].map(([, one]) => one);
  const told = read('README.md')
    .split('\n')
    .filter((line) => /^\| `[A-Z_]+`/.test(line))
    .flatMap((line) => [...line.split('|')[1].matchAll(/`([A-Z_]+)`/g)].map(([, one]) => one));
  assert.ok(codes.length >= 18);
  assert.deepEqual(told.toSorted(), codes.toSorted());
});

test('the element’s page lists the options that have no attribute', () => {
  const options = (file: string, name: string) => {
    const [, body] = new RegExp(`interface ${name} \\{([\\s\\S]*?)\\n\\}`).exec(read(file))!;
    return [...body.matchAll(/^ {2}(?:readonly )?(\w+)\??: /gm)].map(([, one]) => one);
  };
  const paragraph = /Only in `options`([\s\S]*?)only in `loadOptions`: ([\s\S]*?)\n\n/;
  const told = paragraph.exec(read('docs/guide/element.md'))!;
  const names = (text: string) => [...text.matchAll(/`(\w+)`/g)].map(([, one]) => one);
  const without = (list: string[], known: object) => list.filter((one) => !(one in known));
  assert.deepEqual(
    names(told[1]).toSorted(),
    without(options('sdk/options.ts', 'GenerateOptions'), GENERATE).toSorted(),
  );
  assert.deepEqual(
    names(told[2]).toSorted(),
    without(options('sdk/load-options.ts', 'LoadOptions'), LOAD).toSorted(),
  );
});
