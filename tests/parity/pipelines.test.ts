import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createTestBackend } from './backends.ts';
import { goldenFile } from './fixtures.ts';
import { run } from './golden-pipelines.ts';

/** CLIP's ids of the prompts in the file: its vocabulary is not part of this repository. */
const IDS: Readonly<Record<string, readonly number[]>> = {
  '': [],
  'a photo of an astronaut riding a horse on mars': [
    320, 1125, 539, 550, 18376, 6765, 320, 4558, 525, 7496,
  ],
  'blurry, low quality': [21977, 267, 1042, 3027],
};
const [BOS, EOS, LENGTH] = [49406, 49407, 77];

const tokenizer = {
  modelMaxLength: LENGTH,
  encodeForModel(text: string) {
    const ids = new Int32Array(LENGTH).fill(EOS);
    ids.set([BOS, ...IDS[text], EOS]);
    return { ids, dropped: '' };
  },
};

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
      async () => tokenizer,
    );
    await backend.dispose();
    assert.deepEqual(wrong, []);
    assert.ok(cases >= 43, `only ${cases} cases ran`);
  });
