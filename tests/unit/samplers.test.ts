import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isSDError } from '../../sdk/errors.ts';
import { TorchGenerator } from '../../sdk/random/index.ts';
import { alignedSigmas } from '../../sdk/samplers/align-your-steps.ts';
import { betaQuantile } from '../../sdk/samplers/beta-quantile.ts';
import {
  createSampler,
  samplerNames,
  stepOptionsOf,
  type Schedule,
} from '../../sdk/samplers/index.ts';
import { linspace32, noiseSchedule, scheduleDefaults } from '../../sdk/samplers/noise-schedule.ts';
import { roundHalfEven, spacedTimesteps } from '../../sdk/samplers/timesteps.ts';

const SD15 = {
  _class_name: 'PNDMScheduler',
  beta_end: 0.012,
  beta_schedule: 'scaled_linear',
  beta_start: 0.00085,
  num_train_timesteps: 1000,
  set_alpha_to_one: false,
  skip_prk_steps: true,
  steps_offset: 1,
  trained_betas: null,
  clip_sample: false,
};
const SHAPE = [1, 4, 8, 8];

const refused = (part: string) => (error: unknown) =>
  isSDError(error) && error.code === 'INVALID_OPTION' && error.message.includes(part);

/** A whole run with a model that knows the clean picture. */
function recover(name: string, steps: number, target: Float32Array): Float32Array {
  const sampler = createSampler(name, SD15, steps, { prediction_type: 'epsilon' });
  const { alphasCumprod } = noiseSchedule({ ...scheduleDefaults, ...SD15 });
  const options = { shape: SHAPE, generator: new TorchGenerator(1) };
  const noise = new TorchGenerator(0).randn(SHAPE);
  let sample: Float32Array = noise.map((x) => x * sampler.initNoiseSigma);
  for (const t of sampler.timesteps) {
    const low = Math.floor(t);
    const share = t - low;
    const at = (i: number) => Math.sqrt(1 / alphasCumprod[Math.min(i, 999)] - 1);
    const sigma = at(low) * (1 - share) + at(low + 1) * share;
    const input = sampler.scaleModelInput(sample, t);
    const output = input.map((x, i) => (x * Math.sqrt(sigma ** 2 + 1) - target[i]) / sigma);
    sample = sampler.step(output, t, sample, options).prev;
  }
  return sample;
}

test('every sampler by name arrives at the picture that its model sees', () => {
  const target = new TorchGenerator(7).randn(SHAPE);
  for (const name of samplerNames.filter((known) => known !== 'PNDMScheduler')) {
    const result = recover(name, 12, target);
    const error = Math.max(...result.map((x, i) => Math.abs(x - target[i])));
    // Schedules that end above σ = 0 keep a little noise.
    assert.ok(error < 0.2, `${name} ends ${error} away`);
  }
});

test('names: any case, underscores, schedules after the name, class names', () => {
  const same = (a: string, b: string, overrides = {}) => {
    const [first, second] = [createSampler(a, SD15, 8), createSampler(b, SD15, 8, overrides)];
    assert.deepEqual(first.timesteps, second.timesteps, `${a} and ${b}`);
    assert.equal(first.constructor, second.constructor);
  };
  same('dpm++ 2m karras', 'DPMSolverMultistepScheduler', { use_karras_sigmas: true });
  same('DPMPP_2M', 'DPM++ 2M');
  same('euler_ancestral', 'Euler a');
  same('Euler SGM Uniform', 'EulerDiscreteScheduler', { timestep_spacing: 'trailing' });
  same('LMS exponential', 'LMS', { use_exponential_sigmas: true });
  same('uni_pc', 'UniPC');
  same('plms', 'PNDM', { skip_prk_steps: true });
  same('heunDISCRETEscheduler', 'Heun');
  same('DPM++ 2M AYS', 'DPM++ 2M Align Your Steps');
});

test('from_config: what the checkpoint states goes along, its defaults do not', () => {
  // Stable Diffusion 1.5 states no spacing: PNDM runs "leading", Euler its own "linspace".
  assert.equal(createSampler('PNDM', SD15, 10).timesteps[0], 901);
  assert.equal(createSampler('Euler', SD15, 10).timesteps[0], 999);
  const stated = { ...SD15, timestep_spacing: 'leading' };
  assert.equal(createSampler('Euler', stated, 10).timesteps[0], 901);
  const filledIn = { ...stated, _use_default_values: ['timestep_spacing'] };
  assert.equal(createSampler('Euler', filledIn, 10).timesteps[0], 999);
  const override = createSampler('Euler', SD15, 10, { timestep_spacing: 'trailing' });
  assert.deepEqual(override.timesteps.slice(0, 2), [999, 899]);
});

test('settings of other classes are translated as diffusers does', () => {
  const fromUniPC = { ...SD15, solver_type: 'bh2', algorithm_type: 'deis' };
  assert.doesNotThrow(() => createSampler('DPM++ 2M', fromUniPC, 5));
  const fromDPM = { ...SD15, solver_type: 'midpoint', algorithm_type: 'dpmsolver++' };
  assert.doesNotThrow(() => createSampler('DEIS', fromDPM, 5));
  assert.doesNotThrow(() => createSampler('UniPC', fromDPM, 5));
});

test('what cannot be is refused in a sentence', () => {
  const make = (name: string, schedule: number | Schedule = 10, overrides = {}) =>
    createSampler(name, SD15, schedule, overrides);
  assert.throws(() => make('Eular a'), refused('Euler a'));
  assert.throws(() => make('DDIM Karras'), refused('use_karras_sigmas'));
  assert.throws(() => make('Euler a Karras'), refused('use_karras_sigmas'));
  assert.throws(() => make('DDIM', 10, { use_karras_sigmas: true }), refused('use_karras_sigmas'));
  assert.throws(() => make('Euler', 10, { prediction_type: 'noise' }), refused('prediction_type'));
  assert.throws(() => make('PNDM', 10, { prediction_type: 'sample' }), refused('prediction_type'));
  assert.throws(() => make('Euler', 10, { beta_start: 'low' }), refused('beta_start'));
  assert.throws(() => make('Euler', 10, { beta_schedule: 'wavy' }), refused('beta_schedule'));
  assert.throws(
    () => make('Euler', 10, { use_karras_sigmas: true, use_beta_sigmas: true }),
    refused('Only one'),
  );
  for (const steps of [0, -1, 2.5, NaN, 1001]) {
    assert.throws(() => make('Euler', steps), refused('from 1 to 1000'));
  }
  assert.throws(() => make('Euler', {}), refused('Steps'));
  assert.throws(() => make('LCM', 51), refused('original_inference_steps'));
  assert.throws(() => make('PNDM', 3, { skip_prk_steps: false }), refused('at least 4'));
  assert.throws(() => make('DDIM', { timesteps: [9, 1] }), refused('custom timesteps'));
  assert.throws(() => make('DDPM', { sigmas: [9, 0] }), refused('custom sigmas'));
  assert.throws(() => make('DDPM', { timesteps: [1, 9] }), refused('descend'));
  assert.throws(() => make('Euler', { timesteps: [1000, 9] }), refused('descend'));
  assert.throws(() => make('Euler', { sigmas: [1, 2] }), refused('descend'));
  assert.throws(() => make('Euler', { sigmas: [2, 1, 0], steps: 2 }), refused('Give one'));
  assert.throws(() => make('Euler Karras', { timesteps: [9, 1] }), refused('exclude'));
  assert.throws(() => make('DDIM AYS'), refused('Align Your Steps'));
  assert.throws(() => make('DPM++ 2M', 10, { solver_order: 4 }), refused('solver_order'));
  assert.throws(
    () => make('DPM++ 2M', 10, { algorithm_type: 'dpmsolver' }),
    refused('final_sigmas_type'),
  );
});

test('noise without a generator, and options out of range, are refused', () => {
  const x = new Float32Array(256);
  const eulerA = createSampler('Euler a', SD15, 4);
  assert.throws(() => eulerA.step(x, 999, x, { shape: SHAPE }), refused('generator'));
  const tcd = createSampler('TCD', SD15, 4);
  assert.throws(() => tcd.step(x, 999, x, { shape: SHAPE, eta: 2 }), refused('eta'));
  const euler = createSampler('Euler', SD15, 4);
  assert.throws(() => euler.step(x, 998, x, { shape: SHAPE }), refused('998'));
  assert.ok(stepOptionsOf('DDIM').includes('eta'));
  assert.ok(!stepOptionsOf('Euler').includes('eta'));
});

test('DPM++ SDE: one seed per picture makes pictures independent of their batch', () => {
  const walk = (shape: number[], noiseSeeds: number[]) => {
    const sampler = createSampler('DPM++ SDE', SD15, 3);
    let sample = new Float32Array(shape.reduce((a, b) => a * b)).fill(1);
    for (const t of sampler.timesteps) {
      const output = sample.map((value) => value / 20);
      sample = Float32Array.from(sampler.step(output, t, sample, { shape, noiseSeeds }).prev);
    }
    return sample;
  };
  const both = walk([2, 4, 4, 4], [5, 6]);
  assert.deepEqual(both.subarray(64), walk([1, 4, 4, 4], [6]));
  assert.notDeepEqual(both.subarray(0, 64), both.subarray(64));
  assert.throws(() => walk([2, 4, 4, 4], [5]), refused('one noise seed'));
});

test('Align Your Steps: ten as published, others interpolated between the same ends', () => {
  assert.deepEqual(alignedSigmas('sd1', 10).slice(0, 2), [14.615, 6.475]);
  const twenty = alignedSigmas('sdxl', 20);
  assert.equal(twenty.length, 21);
  assert.ok(Math.abs(twenty[0] - 14.615) < 1e-5);
  assert.ok(Math.abs(twenty[2] - 6.315) < 1e-5);
  assert.equal(twenty[20], 0);
  const sampler = createSampler('Euler', SD15, { steps: 10, alignYourSteps: 'sd1' });
  assert.deepEqual(sampler.timesteps.map(Math.round).slice(0, 3), [999, 850, 736]);
});

test('the arithmetic beneath: rounding, spacings, linspace, the beta quantile', () => {
  assert.deepEqual([0.5, 1.5, 2.5, -0.5, 2.4999].map(roundHalfEven), [0, 2, 2, 0, 2]);
  const spaced = (timestep_spacing: string, steps: number) =>
    spacedTimesteps({ num_train_timesteps: 1000, timestep_spacing, steps_offset: 1 }, steps);
  assert.deepEqual(spaced('leading', 4), [751, 501, 251, 1]);
  assert.deepEqual(spaced('trailing', 3), [999, 666, 332]);
  assert.deepEqual(spaced('linspace', 3), [999, 500, 0]);
  assert.deepEqual(spaced('linspace', 1), [0]);
  assert.deepEqual([...linspace32(0, 1, 5)], [0, 0.25, 0.5, 0.75, 1]);
  assert.deepEqual([...linspace32(3, 9, 1)], [3]);
  // scipy.stats.beta.ppf(p, 0.6, 0.6)
  assert.ok(Math.abs(betaQuantile(0.05) - 0.012554456873611399) < 1e-14);
  assert.ok(Math.abs(betaQuantile(0.9) - 0.9604155944112192) < 1e-14);
});
