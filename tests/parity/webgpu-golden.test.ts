import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createTestBackend } from './backends.ts';
import { goldenFile } from './fixtures.ts';
import { run as runModels } from './golden-models.ts';
import { run as runPipelines } from './golden-pipelines.ts';
import { fixedTokenizer } from './fixed-tokenizer.ts';
import { openGPU } from './webgpu-device.ts';

const skip = !(await openGPU());

/** Collects what is wrong, and counts. */
function collect() {
  const wrong: string[] = [];
  let cases = 0;
  return {
    wrong,
    count: () => cases,
    report: (what: string, error: number, tolerance: number) => {
      cases++;
      if (!(error <= tolerance)) wrong.push(`${what} is off by ${error}`);
    },
    unsupported: (what: string, why: string) => void wrong.push(`${what}: ${why}`),
  };
}

test('models agree with PyTorch on the GPU engine in f32', { skip }, async () => {
  const backend = await createTestBackend('webgpu');
  const { wrong, count, report, unsupported } = collect();
  await runModels(goldenFile('models'), report, unsupported, backend);
  await backend.dispose();
  assert.deepEqual(wrong, []);
  assert.ok(count() >= 20, `only ${count()} cases ran`);
});

test('pipelines agree with diffusers on the GPU engine in f32', { skip }, async () => {
  const backend = await createTestBackend('webgpu');
  const { wrong, count, report, unsupported } = collect();
  await runPipelines(
    goldenFile('pipelines'),
    report,
    unsupported,
    backend,
    async () => fixedTokenizer,
  );
  await backend.dispose();
  assert.deepEqual(wrong, []);
  assert.ok(count() >= 43, `only ${count()} cases ran`);
});
