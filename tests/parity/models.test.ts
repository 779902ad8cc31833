import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createTestBackend } from './backends.ts';
import { goldenFile } from './fixtures.ts';
import { run } from './golden-models.ts';

// CLIP, UNet (SD 1.x, 2.x, SDXL, inpainting), VAE and TAESD against transformers and diffusers.
for (const name of ['reference', 'wasm'])
  test(`models agree with PyTorch on the ${name} engine`, async () => {
    const backend = await createTestBackend(name);
    let cases = 0;
    const wrong: string[] = [];
    await run(
      goldenFile('models'),
      (what, error, tolerance) => {
        cases++;
        if (!(error <= tolerance)) wrong.push(`${what} is off by ${error}`);
      },
      (what, why) => wrong.push(`${what}: ${why}`),
      backend,
    );
    await backend.dispose();
    assert.deepEqual(wrong, []);
    assert.ok(cases >= 20, `only ${cases} cases ran`);
  });
