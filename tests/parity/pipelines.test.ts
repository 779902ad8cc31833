import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createTestBackend } from './backends.ts';
import { fixedTokenizer } from './fixed-tokenizer.ts';
import { goldenFile } from './fixtures.ts';
import { run } from './golden-pipelines.ts';

// Whole runs against diffusers: text to image, image to image, inpainting, SDXL, every sampler.
for (const name of ['reference', 'wasm'])
  test(`pipelines agree with diffusers on the ${name} engine`, async () => {
    const backend = await createTestBackend(name);
    let cases = 0;
    const wrong: string[] = [];
    await run(
      goldenFile('pipelines'),
      (what, error, tolerance) => {
        cases++;
        if (!(error <= tolerance)) wrong.push(`${what} is off by ${error}`);
      },
      (what, why) => wrong.push(`${what}: ${why}`),
      backend,
      async () => fixedTokenizer,
    );
    await backend.dispose();
    assert.deepEqual(wrong, []);
    assert.ok(cases >= 43, `only ${cases} cases ran`);
  });
