import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { run } from './golden-random.ts';

test("random numbers equal torch's, NumPy's and the Philox emulation's", async () => {
  const file = new URL('../fixtures/golden/rng.json.gz', import.meta.url);
  const json: unknown = JSON.parse(gunzipSync(readFileSync(file)).toString());
  const failures: string[] = [];
  let cases = 0;
  await run(
    json,
    (name, error, tolerance) => {
      cases++;
      if (!(error <= tolerance)) failures.push(`${name}: ${error} > ${tolerance}`);
    },
    (name, why) => failures.push(`${name}: ${why}`),
  );
  assert.deepEqual(failures, []);
  assert.ok(cases > 80);
});
