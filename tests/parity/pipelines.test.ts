import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createTestBackend } from './backends.ts';
import { fixedTokenizer } from './fixed-tokenizer.ts';
import { goldenFile } from './fixtures.ts';
import { run } from './golden-pipelines.ts';

// Whole runs against diffusers: text to image, image to image, inpainting, SDXL, every sampler; and
// (tests/reference/pipelines.py) batches, custom schedules, tiles, seams, TAESD, cropped masks; and
// (tests/reference/random_pipelines.py) options drawn at random.
for (const [name, file, least] of [
  ['reference', 'pipelines', 43],
  ['wasm', 'pipelines', 43],
  ['reference', 'pipelines-more', 35],
  ['wasm', 'pipelines-random', 40],
] as const)
  test(`${file} agree with diffusers on the ${name} engine`, async () => {
    const backend = await createTestBackend(name);
    let cases = 0;
    const wrong: string[] = [];
    await run(
      goldenFile(file),
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
    assert.ok(cases >= least, `only ${cases} cases ran`);
  });
