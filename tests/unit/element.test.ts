import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { GENERATE, LOAD, type GenerateName, type LoadName } from '../../sdk/element/attributes.ts';
import type { LoadOptions } from '../../sdk/load-options.ts';
import type { GenerateOptions } from '../../sdk/options.ts';

// The compiler wants every option of the SDK here or among the element's attributes; the guide must
// tell of both.

const ONLY_IN_OPTIONS: Record<Exclude<keyof GenerateOptions, GenerateName>, true> = {
  ...{ image: true, mask: true, maskBlur: true, maskPadding: true, latents: true },
  ...{ timesteps: true, sigmas: true, schedulerOptions: true, secondPass: true, inspect: true },
  ...{ oneGenerator: true, previewState: true, vaeTiling: true },
  ...{ signal: true, onProgress: true, onStep: true },
};
const ONLY_IN_LOAD_OPTIONS: Record<Exclude<keyof LoadOptions, LoadName>, true> = {
  ...{ parts: true, loras: true, embeddings: true, weights: true, predictionType: true },
  ...{ busy: true, worker: true, signal: true, onProgress: true },
};

test('the guide names every option that the element takes only as an object', () => {
  const guide = readFileSync('docs/guide/element.md', 'utf8').replace(/\s+/g, ' ');
  const [, generate, load] = /Only in `options`,(.*?)and only in `loadOptions`:(.*?)\./.exec(
    guide,
  )!;
  const named = (text: string) => [...text.matchAll(/`(\w+)`/g)].map(([, name]) => name).sort();
  assert.deepEqual(named(generate), Object.keys(ONLY_IN_OPTIONS).sort());
  assert.deepEqual(named(load), Object.keys(ONLY_IN_LOAD_OPTIONS).sort());
});

test('attributes are read as what they say', () => {
  assert.equal(LOAD.keep('false'), false);
  assert.equal(LOAD.keep(''), true);
  assert.equal(GENERATE.seamless('x'), 'x');
  assert.equal(GENERATE.count(' '), undefined);
  assert.ok(Number.isNaN(GENERATE.guidanceStart('half')));
});
