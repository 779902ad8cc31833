/**
 * Runs golden files of diffusers' schedulers ("schedulers" and "sde"): betas and ᾱ, and whole
 * trajectories with a stand-in for the model, `0.2·(t/1000)·x + 0.1·N1`.
 */
import { SDError } from '../../sdk/errors.ts';
import { BrownianTree } from '../../sdk/random/brownian-tree.ts';
import { generateState } from '../../sdk/random/seed-sequence.ts';
import { TorchGenerator } from '../../sdk/random/torch-cpu.ts';
import { createSampler, type SchedulerConfig } from '../../sdk/samplers/index.ts';
import { noiseSchedule, scheduleDefaults } from '../../sdk/samplers/noise-schedule.ts';
import type { Report, Unsupported } from './golden-report.ts';

const f = Math.fround;
const SHAPE = [1, 4, 8, 8];
const TOLERANCE = 1e-5;
const SDE_TOLERANCE = 1e-4;

interface Run {
  scheduler: string;
  n: number | null;
  dtype?: string;
  over: Record<string, unknown>;
  step_kwargs?: Record<string, unknown>;
  /** Beside `n`: the run's own timesteps or σ, the latents' shape, where it starts. */
  custom_timesteps?: number[];
  custom_sigmas?: number[];
  shape?: number[];
  begin_index?: number;
  timesteps: number[];
  init_noise_sigma: number;
  first4_after_each_step: number[][];
  final: number[];
}

interface Brownian {
  t0: number;
  t1: number;
  shape: number[];
  entropy: number;
  queries: [number, number][];
  W: number[][];
}

interface SeedState {
  entropy: number | string;
  spawn_key: number[] | null;
  state4: number[];
}

interface GoldenFile {
  brownian?: Brownian;
  seed_sequence_pool24?: SeedState[];
  config: SchedulerConfig;
  runs: Run[];
  betas_u32?: number[];
  alphas_cumprod_u32?: number[];
  alphas_cumprod_zero_snr_u32?: number[];
}

export async function run(json: unknown, report: Report, unsupported: Unsupported): Promise<void> {
  const golden = json as GoldenFile;
  scheduleCases(golden, report);
  if (golden.brownian) brownianCases(golden.brownian, report);
  for (const { entropy, spawn_key, state4 } of golden.seed_sequence_pool24 ?? []) {
    const state = generateState(BigInt(entropy), state4.length, 24, spawn_key ?? []);
    const wrong = state4.filter((word, i) => state[i] !== word).length;
    report(`SeedSequence ${entropy} key ${JSON.stringify(spawn_key)}`, wrong, 0);
  }
  for (const testCase of golden.runs ?? []) {
    const { scheduler, n, over, step_kwargs, begin_index, shape } = testCase;
    const settings = JSON.stringify({ ...over, ...step_kwargs, begin_index, shape });
    const name = `${scheduler} n ${n} ${settings}`;
    if (testCase.dtype && testCase.dtype !== 'torch.float32') {
      unsupported(name, `samples are kept in float32, not ${testCase.dtype}`);
      continue;
    }
    try {
      runCase(name, golden.config, testCase, report);
    } catch (error) {
      if (!(error instanceof SDError)) throw error;
      unsupported(name, error.message);
    }
  }
}

function scheduleCases(golden: GoldenFile, report: Report): void {
  const config = { ...scheduleDefaults, ...golden.config };
  const { betas, alphasCumprod } = noiseSchedule(config);
  if (golden.betas_u32) report('betas', differing(betas, golden.betas_u32), 0);
  if (golden.alphas_cumprod_u32) {
    report('alphas_cumprod', differing(alphasCumprod, golden.alphas_cumprod_u32), 0);
  }
  if (golden.alphas_cumprod_zero_snr_u32) {
    const rescaled = noiseSchedule({ ...config, rescale_betas_zero_snr: true }).alphasCumprod;
    report('alphas_cumprod zero SNR', differing(rescaled, golden.alphas_cumprod_zero_snr_u32), 0);
  }
}

function brownianCases(expected: Brownian, report: Report): void {
  const { entropy, shape, t0, t1 } = expected;
  const tree = new BrownianTree(BigInt(entropy), shape, t0, t1);
  expected.queries.forEach(([a, b], i) => {
    const error = maxDifference(tree.increment(a, b), expected.W[i]);
    report(`Brownian tree ${entropy}: W(${a}, ${b})`, error, TOLERANCE);
  });
}

function runCase(name: string, config: SchedulerConfig, expected: Run, report: Report): void {
  const sde = expected.scheduler.includes('SDE');
  const tolerance = sde ? SDE_TOLERANCE : TOLERANCE;
  const { scheduler, over, n, custom_timesteps, custom_sigmas, begin_index = 0 } = expected;
  const settings = { ...config, ...over };
  const schedule = { steps: n ?? undefined, timesteps: custom_timesteps, sigmas: custom_sigmas };
  const sampler = createSampler(scheduler, settings, schedule);

  const integers = expected.timesteps.every(Number.isInteger);
  const timestepError =
    sampler.timesteps.length === expected.timesteps.length
      ? maxDifference(sampler.timesteps, expected.timesteps)
      : Infinity;
  report(`${name}: timesteps`, timestepError, integers ? 0 : 1e-3);
  const sigmaError = Math.abs(sampler.initNoiseSigma / expected.init_noise_sigma - 1);
  report(`${name}: init_noise_sigma`, sigmaError, 1e-6);
  if (timestepError === Infinity) return;

  const shape = expected.shape ?? SHAPE;
  const options = {
    ...Object.fromEntries(
      Object.entries(expected.step_kwargs ?? {}).map(([key, value]) => [camelCase(key), value]),
    ),
    shape,
    generator: new TorchGenerator(2),
  };
  const constant = new TorchGenerator(1).randn(shape);
  const noise = new TorchGenerator(0).randn(shape);
  let sample: Float32Array = noise.map((x) => x * f(sampler.initNoiseSigma));
  if (begin_index > 0) {
    sampler.setBeginIndex(begin_index);
    const original = new TorchGenerator(3).randn(shape);
    sample = sampler.addNoise(original, noise, sampler.timesteps[begin_index]);
  }
  // Where diffusers itself leaves the numbers (UniPC's bh1 ends in ∞·0) there is nothing to compare.
  const finite = [...expected.first4_after_each_step, expected.final]
    .flat()
    .filter(Number.isFinite);
  const largest = Math.max(...expected.final.filter(Number.isFinite).map(Math.abs));
  const scale = Number.isFinite(largest) ? largest : Math.max(...finite.map(Math.abs));
  let worst = 0;
  sampler.timesteps.slice(begin_index).forEach((t, i) => {
    const input = sampler.scaleModelInput(sample, t);
    const weight = f(f(0.2) * f(f(t) / 1000));
    const output = input.map((x, j) => f(weight * x) + f(f(0.1) * constant[j]));
    sample = sampler.step(output, t, sample, options).prev;
    const known = expected.first4_after_each_step[i];
    const magnitude = Math.max(scale, ...known.filter(Number.isFinite).map(Math.abs));
    worst = Math.max(worst, maxDifference(sample.subarray(0, 4), known) / magnitude);
  });
  worst = Math.max(worst, maxDifference(sample, expected.final) / scale);
  report(`${name}: trajectory`, worst, tolerance);
}

/** The largest difference, over what is finite in `expected`. */
function maxDifference(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  let worst = 0;
  for (let i = 0; i < expected.length; i++) {
    if (!Number.isFinite(expected[i])) continue;
    const error = Math.abs(actual[i] - expected[i]);
    worst = Math.max(worst, Number.isNaN(error) ? Infinity : error);
  }
  return worst;
}

function differing(values: Float32Array, expected: readonly number[]): number {
  const bits = new Uint32Array(values.buffer);
  return expected.filter((word, i) => bits[i] !== word).length;
}

function camelCase(key: string): string {
  return key.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
}
