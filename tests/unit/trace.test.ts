import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Combination } from '../../sdk/backends/backend.ts';
import { trace } from '../../sdk/pipeline/trace.ts';
import { createGenerator } from '../../sdk/random/index.ts';
import { createSampler, samplerNames, type Sampler } from '../../sdk/samplers/index.ts';

const shape = [2, 4, 3, 3] as const;
const size = 72;
const scheduler = { beta_start: 0.00085, beta_end: 0.012, beta_schedule: 'scaled_linear' };
const noClipping = { clip_sample: false };

function make(name: string, steps: number, begin: number, overrides = {}): () => Sampler {
  return () => {
    const sampler = createSampler(name, { ...scheduler, ...noClipping }, steps, overrides);
    if (begin > 0) sampler.setBeginIndex(begin);
    return sampler;
  };
}

/** Some function of what a model sees, so that each step depends on the one before. */
function predict(input: Float32Array, t: number): Float32Array {
  return input.map((x, i) => Math.sin(3 * x + 0.01 * t + i));
}

const numbers = (seed: number): Float32Array => createGenerator('torch', seed).randn(shape);

/** A run as `denoise` does it on the host, and as an engine does it from the trace. */
function runs(create: () => Sampler, begin: number, options: object, keeps = false) {
  const mask = Float32Array.from({ length: size }, (_, i) => (i % 9 < 4 ? 1 : 0));
  const [kept, keptNoise] = [numbers(5), numbers(6)];
  const sampler = create();
  const calls = sampler.timesteps.length - begin;

  const generator = createGenerator('torch', 7);
  const onHost: Float32Array[] = [];
  let sample = numbers(1).map((x) => x * sampler.initNoiseSigma);
  const start = sample;
  for (let i = 0; i < calls; i++) {
    const t = sampler.timesteps[begin + i];
    const output = predict(sampler.scaleModelInput(sample, t), t);
    const { prev, denoised } = sampler.step(output, t, sample, { shape, generator, ...options });
    const noised = (): Float32Array =>
      i + 1 < calls ? sampler.addNoise(kept, keptNoise, sampler.timesteps[begin + i + 1]) : kept;
    const original = keeps ? noised() : prev;
    sample = prev.map((x, j) => (mask[j] === 1 || !keeps ? x : original[j]));
    onHost.push(sample, denoised);
  }

  const other = createGenerator('torch', 7);
  const traced = trace(create, { begin, calls }, { shape, generator: other, ...options }, keeps);
  if (!traced) return { onHost, inEngine: undefined, places: 0 };
  const inEngine: Float32Array[] = [];
  // What is free is poisoned, so that a place given back too early shows.
  const places: Float32Array[] = Array.from({ length: traced.places }, () =>
    new Float32Array(size).fill(NaN),
  );
  const sum = (terms: Combination): Float32Array =>
    new Float32Array(size).map((_, j) =>
      terms.reduce((total, { from, factor }) => total + factor * places[from][j], 0),
    );
  places[traced.start] = start;
  if (traced.kept) {
    places[traced.kept.latents] = kept;
    places[traced.kept.noise] = keptNoise;
  }
  for (const step of traced.steps) {
    for (const noise of step.noises) places[noise.into] = noise.make();
    places[step.output] = predict(sum(step.input), step.timestep);
    const outside = step.outside && sum(step.outside);
    const denoised = sum(step.denoised);
    places[step.sample] = sum(step.next).map((x, j) => (outside && mask[j] === 0 ? outside[j] : x));
    inEngine.push(places[step.sample], denoised);
  }
  return { onHost, inEngine, places: traced.places };
}

function worst(a: readonly Float32Array[], b: readonly Float32Array[]): number {
  let most = 0;
  a.forEach((x, i) => {
    const scale = Math.max(1, ...x.map(Math.abs));
    x.forEach((value, j) => {
      const error = Math.abs(value - b[i][j]) / scale;
      most = Number.isNaN(error) ? Infinity : Math.max(most, error);
    });
  });
  return most;
}

// Predictions feed back, so rounding grows over the steps.
const CLOSE = 2e-4;

for (const name of samplerNames)
  test(`${name} can be traced`, () => {
    for (const [steps, begin] of [
      [7, 0],
      [8, 4],
    ]) {
      const create = make(name, steps, begin);
      const options = { eta: /ddim|tcd/i.test(name) ? 0.5 : undefined, noiseSeeds: [3, 4] };
      const { onHost, inEngine, places } = runs(create, begin, options, begin > 0);
      assert.ok(inEngine, 'a step is no sum');
      assert.ok(worst(onHost, inEngine) < CLOSE, `off by ${worst(onHost, inEngine)}`);
      assert.ok(places <= 16, `${places} places`);
    }
  });

test('other predictions and noise options are traced as well', () => {
  for (const prediction_type of ['v_prediction', 'sample'])
    for (const name of ['DDIM', 'DPM++ 3M', 'Euler']) {
      const { onHost, inEngine } = runs(
        make(name, 6, 0, { prediction_type }),
        0,
        name === 'Euler' ? { sChurn: 2 } : {},
      );
      assert.ok(inEngine && worst(onHost, inEngine) < CLOSE, `${name} ${prediction_type}`);
    }
});

test('what looks at values is not traced', () => {
  for (const [name, overrides] of [
    ['DDIM', { clip_sample: true }],
    ['DDPM', { clip_sample: true }],
    ['Heun', { clip_sample: true }],
    ['DPM++ 2M', { thresholding: true }],
    ['UniPC', { thresholding: true, sample_max_value: 5 }],
  ] as const)
    assert.equal(runs(make(name, 5, 0, overrides), 0, {}).inEngine, undefined, name);
});

test('a thousand steps need no more places than ten', () => {
  const few = runs(make('DDPM', 10, 0), 0, {}).places;
  assert.equal(runs(make('DDPM', 1000, 0), 0, {}).places, few);
});
