import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { test } from 'node:test';

const LIMIT = 400;
const SOURCE = /\.(ts|tsx|mjs|js|wgsl|py|html|css|sh)$/;

/** Tracked and new files. */
function sources(): string[] {
  const list = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], {
    encoding: 'utf8',
  });
  return list.split('\n').filter((path) => SOURCE.test(path) && existsSync(path));
}

test(`no source file is longer than ${LIMIT} lines`, () => {
  const files = sources();
  assert.ok(files.length > 20, 'the sources were found');
  const long = files
    .map((path) => ({ path, lines: readFileSync(path, 'utf8').trimEnd().split('\n').length }))
    .filter(({ lines }) => lines > LIMIT);
  assert.deepEqual(long, []);
});
