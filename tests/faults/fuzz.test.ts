import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fuzz, PARSERS } from './fuzz.ts';

// A small share of the million that the script runs by hand; the seed is fixed so that CI is too.
for (const name of Object.keys(PARSERS))
  test(`3000 changed inputs for ${name}: read or refused, nothing else`, async () => {
    const refused = await fuzz(name, 3000, 1);
    assert.ok(refused > 300 && refused < 3000, `${refused} refused`);
  });
