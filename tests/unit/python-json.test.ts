import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parsePythonJson } from '../parity/python-json.ts';

test('numbers that JSON lacks are read, and texts stay what they are', () => {
  assert.deepEqual(parsePythonJson('{"a": [NaN, -Infinity,Infinity], "b": NaN}'), {
    a: [NaN, -Infinity, Infinity],
    b: NaN,
  });
  const texts = ['NaN', '\0', '\0a', '[NaN]'];
  assert.deepEqual(parsePythonJson(JSON.stringify({ texts })), { texts });
});
