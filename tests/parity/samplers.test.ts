import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { TorchGenerator } from '../../sdk/random/torch-cpu.ts';
import { createSampler } from '../../sdk/samplers/index.ts';
import { run } from './golden-samplers.ts';
import { parsePythonJson } from './python-json.ts';

for (const file of ['schedulers', 'schedulers-random', 'sde']) {
  test(`every sampler walks as diffusers' does (${file})`, async () => {
    const path = new URL(`../fixtures/golden/${file}.json.gz`, import.meta.url);
    const failures: string[] = [];
    let cases = 0;
    await run(
      parsePythonJson(gunzipSync(readFileSync(path)).toString()),
      (name, error, tolerance) => {
        cases++;
        if (!(error <= tolerance)) failures.push(`${name}: ${error} > ${tolerance}`);
      },
      (name, why) => failures.push(`${name}: ${why}`),
    );
    assert.deepEqual(failures, []);
    assert.ok(cases > 40);
  });
}

/** diffusers' own scheduler tests: 768 values rising to 1, and a model `x · t/(t + 1)`. */
const SHAPE = [4, 3, 8, 8];
const rising = Float32Array.from({ length: 768 }, (_, i) => channelsFirst(i) / 768);
const falling = Float32Array.from({ length: 768 }, (_, i) => (767 - channelsFirst(i)) / 768);

/** The place in `[3, 8, 8, 4]` of element `i` of its permutation to `[4, 3, 8, 8]`. */
function channelsFirst(i: number): number {
  return (i % 192) * 4 + Math.floor(i / 192);
}

interface LoopTest {
  name: string;
  sum?: number;
  mean?: number;
  config?: Record<string, unknown>;
  steps?: number;
  /** Starts from the rising sample with the falling noise of this timestep's index. */
  noisedFrom?: number;
  eta?: number;
  seed?: number;
}

const LINEAR = { beta_start: 0.0001, beta_end: 0.02, beta_schedule: 'linear' };
const LONG = { ...LINEAR, num_train_timesteps: 1100 };
const V = { prediction_type: 'v_prediction' };
const TO_MIN = { final_sigmas_type: 'sigma_min' };
const NO_LOWER = { ...TO_MIN, lower_order_final: false };
const NOT_ONE = { beta_start: 0.01, set_alpha_to_one: false };
const ONE = { beta_start: 0.01, set_alpha_to_one: true };

const LOOP_TESTS: LoopTest[] = [
  { name: 'DDIM', config: { clip_sample: true }, sum: 172.0067, mean: 0.223967 },
  { name: 'DDIM', config: V, sum: 52.5302, mean: 0.0684 },
  { name: 'DDIM', config: ONE, sum: 149.8295, mean: 0.1951 },
  { name: 'DDIM', config: NOT_ONE, sum: 149.0784, mean: 0.1941 },
  { name: 'DDIM', noisedFrom: 8, sum: 354.5418, mean: 0.4616 },
  { name: 'DDPM', steps: 1000, seed: 0, sum: 258.9606, mean: 0.3372 },
  { name: 'DDPM', steps: 1000, seed: 0, config: V, sum: 202.0296, mean: 0.2631 },
  { name: 'DDPM', steps: 1000, seed: 0, noisedFrom: 998, sum: 387.9466, mean: 0.5051 },
  { name: 'PNDM', sum: 198.1318, mean: 0.258 },
  { name: 'PNDM', config: V, sum: 67.3986, mean: 0.0878 },
  { name: 'PNDM', config: ONE, sum: 230.0399, mean: 0.2995 },
  { name: 'PNDM', config: NOT_ONE, sum: 186.9482, mean: 0.2434 },
  { name: 'Euler', config: LONG, sum: 10.0807, mean: 0.0131 },
  { name: 'Euler', config: { ...LONG, ...V }, sum: 0.0002, mean: 2.2676e-6 },
  { name: 'Euler Karras', config: LONG, sum: 124.52299499511719, mean: 0.16213932633399963 },
  { name: 'Euler', config: LONG, noisedFrom: 8, sum: 57062.9297, mean: 74.3007 },
  { name: 'Euler a', config: LONG, seed: 0, sum: 152.3192, mean: 0.1983 },
  { name: 'Euler a', config: { ...LONG, ...V }, seed: 0, sum: 108.4439, mean: 0.1412 },
  { name: 'Euler a', config: LONG, seed: 0, noisedFrom: 8, sum: 56163.0508, mean: 73.129 },
  { name: 'Heun', config: LONG, sum: 0.1233, mean: 0.0002 },
  { name: 'Heun', config: LONG, noisedFrom: 16, sum: 75074.8906, mean: 97.7538 },
  { name: 'LMS', config: LONG, sum: 1006.388, mean: 1.31 },
  { name: 'LMS Karras', config: LONG, sum: 3812.9927, mean: 4.9648 },
  { name: 'LMS', config: LONG, noisedFrom: 8, sum: 27663.6895, mean: 36.0204 },
  { name: 'DPM++ 2M', config: NO_LOWER, mean: 0.3301 },
  { name: 'DPM++ 2M', config: { ...NO_LOWER, ...V }, mean: 0.2251 },
  { name: 'DPM++ 2M Karras', config: { ...NO_LOWER, ...V }, mean: 0.2096 },
  { name: 'DPM++ 2M Lu', config: { ...NO_LOWER, ...V }, mean: 0.1554 },
  {
    name: 'DPM++ 2M',
    config: {
      ...NO_LOWER,
      thresholding: true,
      dynamic_thresholding_ratio: 0.87,
      sample_max_value: 0.5,
    },
    mean: 1.1364,
  },
  { name: 'DPM++ 2M', config: NO_LOWER, noisedFrom: 5, sum: 318.4111, mean: 0.4146 },
  { name: 'DPM++ 2S', config: TO_MIN, mean: 0.2791 },
  { name: 'DPM++ 2S Karras', config: TO_MIN, mean: 0.2248 },
  { name: 'DPM++ 2S', config: { ...TO_MIN, ...V }, mean: 0.1453 },
  { name: 'DPM++ 2S Karras', config: { ...TO_MIN, ...V }, mean: 0.0649 },
  { name: 'DPM++ 2S', config: TO_MIN, noisedFrom: 5, sum: 269.2187, mean: 0.3505 },
  { name: 'UniPC', config: TO_MIN, mean: 0.2464 },
  { name: 'UniPC Karras', config: TO_MIN, mean: 0.2925 },
  { name: 'UniPC', config: { ...TO_MIN, ...V }, mean: 0.1014 },
  { name: 'UniPC Karras', config: { ...TO_MIN, ...V }, mean: 0.1966 },
  { name: 'UniPC', config: TO_MIN, noisedFrom: 8, sum: 315.5757, mean: 0.4109 },
  { name: 'LCM', steps: 1, seed: 0, sum: 18.7097, mean: 0.0244 },
  { name: 'LCM', steps: 10, seed: 0, sum: 197.7616, mean: 0.2575 },
  { name: 'TCD', steps: 1, eta: 0, sum: 29.8715, mean: 0.0389 },
  { name: 'TCD', steps: 10, eta: 0, sum: 181.204, mean: 0.2359 },
  { name: 'DEIS', mean: 0.23916 },
  { name: 'DEIS', config: V, mean: 0.091 },
];

for (const loop of LOOP_TESTS) {
  const { name, config, steps = 10, noisedFrom, eta, seed } = loop;
  test(`diffusers' own loop: ${name} ${JSON.stringify({ ...config, steps, noisedFrom })}`, () => {
    const distilled = name === 'LCM' || name === 'TCD';
    const base = distilled
      ? { beta_start: 0.00085, beta_end: 0.012, beta_schedule: 'scaled_linear' }
      : LINEAR;
    const sampler = createSampler(name, { ...base, ...config }, steps);
    const from = noisedFrom ?? 0;
    const sigmaFamily = /^(Euler|Heun|LMS)/.test(name);
    let sample: Float32Array = rising;
    if (sigmaFamily) sample = sample.map((x) => x * Math.fround(sampler.initNoiseSigma));
    if (noisedFrom !== undefined)
      sample = sampler.addNoise(sample, falling, sampler.timesteps[from]);
    const options = {
      shape: SHAPE,
      eta,
      ...(seed !== undefined && { generator: new TorchGenerator(seed) }),
    };
    for (const t of sampler.timesteps.slice(from)) {
      // Those tests step from the scaled sample; a real loop keeps the unscaled one.
      sample = sampler.scaleModelInput(sample, t);
      const output = sample.map((x) => (x * Math.fround(t)) / Math.fround(t + 1));
      sample = sampler.step(output, t, sample, options).prev;
    }
    const sum = sample.reduce((total, x) => total + Math.abs(x), 0);
    if (loop.sum !== undefined) near(sum, loop.sum, 1e-2);
    if (loop.mean !== undefined) near(sum / sample.length, loop.mean, 1e-3);
  });
}

function near(actual: number, expected: number, tolerance: number): void {
  const allowed = Math.max(tolerance, 1e-6 * Math.abs(expected));
  assert.ok(Math.abs(actual - expected) < allowed, `${actual}, not ${expected}`);
}
