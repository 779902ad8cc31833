import { finiteNoiseSchedule } from './noise-schedule.ts';
import { predictNoise, predictOriginal } from './prediction.ts';
import type { Sampler, Schedule, StepOptions, StepResult } from './sampler.ts';
import {
  hasSigmaRule,
  interpolate,
  logarithms,
  ruledSigmas,
  sigmaTable,
  sigmaToTimestep,
  type SigmaRules,
} from './sigmas.ts';
import { StepIndex } from './step-index.ts';
import { weightedSum } from './tensor.ts';
import { limitPrediction, type LimitConfig } from './threshold.ts';
import { torchLog } from './torch-math.ts';
import { linspace, roundHalfEven, trailingTimesteps } from './timesteps.ts';
import { torchSqrt } from './torch-sqrt.ts';

const f = Math.fround;

/** The settings that all exponential-integrator solvers (DPM-Solver, DEIS, UniPC) read here. */
export interface SolverConfig extends SigmaRules {
  readonly num_train_timesteps: number;
  readonly beta_start: number;
  readonly beta_end: number;
  readonly beta_schedule: string;
  readonly trained_betas: readonly number[] | null;
  readonly rescale_betas_zero_snr?: boolean;
  readonly prediction_type: string;
  readonly timestep_spacing?: string;
  readonly steps_offset?: number;
  readonly lambda_min_clipped?: number;
  readonly use_lu_lambdas?: boolean;
  readonly final_sigmas_type?: string;
}

/** A point of the path: `x = alpha·x0 + sigma·ε`, and half its log signal-to-noise ratio, in f32. */
export interface Point {
  readonly alpha: number;
  readonly sigma: number;
  readonly lambda: number;
}

/** What the exponential-integrator solvers share: the path, and x0 and ε on it. */
export abstract class SolverSampler implements Sampler {
  readonly timesteps: readonly number[];
  readonly initNoiseSigma = 1;
  readonly order = 1;
  /** One for each evaluation and the end. */
  protected readonly points: readonly Point[];
  protected readonly index: StepIndex;
  readonly #config: SolverConfig & LimitConfig;

  constructor(config: SolverConfig & LimitConfig, schedule: Schedule, rules: PathRules) {
    const { timesteps, sigmas } = solverPath(config, schedule, rules);
    this.timesteps = timesteps;
    this.points = Array.from(sigmas, pointAt);
    this.index = new StepIndex(timesteps, 'last');
    this.#config = config;
  }

  abstract step(
    modelOutput: Float32Array,
    t: number,
    sample: Float32Array,
    options: StepOptions,
  ): StepResult;

  setBeginIndex(index: number): void {
    this.index.begin(index);
  }

  scaleModelInput(sample: Float32Array): Float32Array {
    return sample;
  }

  addNoise(original: Float32Array, noise: Float32Array, t: number): Float32Array {
    const { alpha, sigma } = this.points[this.index.forNoise(t)];
    return weightedSum([alpha, original], [sigma, noise]);
  }

  /** x0 at `points[index]`, within the limits of the config. */
  protected originalAt(
    index: number,
    modelOutput: Float32Array,
    sample: Float32Array,
    { shape }: StepOptions,
  ): Float32Array {
    const { alpha, sigma } = this.points[index];
    const x0 = predictOriginal(this.#config.prediction_type, modelOutput, sample, alpha, sigma);
    return limitPrediction(x0, this.#config, shape);
  }

  /** ε at `points[index]`. */
  protected noiseAt(index: number, modelOutput: Float32Array, sample: Float32Array): Float32Array {
    const { alpha, sigma } = this.points[index];
    return predictNoise(this.#config.prediction_type, modelOutput, sample, alpha, sigma);
  }
}

function pointAt(sigma: number): Point {
  const alpha = f(1 / torchSqrt(f(f(sigma * sigma) + 1)));
  const scaled = f(sigma * alpha);
  return { alpha, sigma: scaled, lambda: f(torchLog(alpha) - torchLog(scaled)) };
}

/** Where the solvers' paths differ. */
export interface PathRules {
  /** How Karras and Lu σ become timesteps; exponential and beta ones are always truncated. */
  readonly rounding?: 'nearest' | 'truncate';
  readonly finals: Finals;
}

/**
 * The σ after the last step. `table` is the smallest of the training schedule, `path` the last of
 * the path itself (so that the last step goes nowhere), where the σ were spaced by a rule or not.
 */
interface Finals {
  readonly ruled: 'zero' | 'table' | 'path';
  readonly plain: 'zero' | 'table';
}

function solverPath(
  config: SolverConfig,
  schedule: Schedule,
  { rounding = 'nearest', finals }: PathRules,
): { timesteps: number[]; sigmas: Float32Array } {
  const { alphasCumprod } = finiteNoiseSchedule(config);
  const table = sigmaTable(alphasCumprod);
  const logs = logarithms(table);
  const timestepOf = (sigma: number) => sigmaToTimestep(sigma, logs);
  if (schedule.sigmas) {
    const timesteps = schedule.sigmas.slice(0, -1).map((s) => roundHalfEven(timestepOf(s)));
    return { timesteps, sigmas: Float32Array.from(schedule.sigmas) };
  }
  const spaced = schedule.timesteps?.map(Math.trunc) ?? solverTimesteps(config, schedule, logs);
  if (!hasSigmaRule(config) && !config.use_lu_lambdas) {
    const final = finals.plain === 'table' ? table[0] : 0;
    return {
      timesteps: [...spaced],
      sigmas: Float32Array.of(...interpolate(spaced, table), final),
    };
  }
  // Unlike k-diffusion's samplers, these space σ over the whole training schedule.
  const count = schedule.steps ?? 1;
  const sigmas =
    config.use_karras_sigmas || !config.use_lu_lambdas
      ? ruledSigmas(config, table[table.length - 1], table[0], count)
      : linspace(logs[logs.length - 1], logs[0], count).map(Math.exp);
  const rounds = rounding === 'nearest' && (config.use_karras_sigmas || config.use_lu_lambdas);
  const timesteps = sigmas.map(timestepOf).map(rounds ? roundHalfEven : Math.trunc);
  const ends = { zero: 0, table: table[0], path: sigmas[sigmas.length - 1] };
  return { timesteps, sigmas: Float32Array.of(...sigmas, ends[finals.ruled]) };
}

/** `steps` integers: one more is laid out and the last, at the clean end, dropped. */
function solverTimesteps(config: SolverConfig, { steps = 1 }: Schedule, logs: Float32Array) {
  const { num_train_timesteps: train, timestep_spacing = 'linspace', steps_offset = 0 } = config;
  // λ = −log σ: the noisiest timesteps may be left out (for cosine schedules).
  const clip = config.lambda_min_clipped ?? -Infinity;
  const last = train - logs.filter((log) => -log < clip).length;
  switch (timestep_spacing) {
    case 'leading': {
      const stride = Math.floor(last / (steps + 1));
      return Array.from({ length: steps }, (_, i) => (steps - i) * stride + steps_offset);
    }
    case 'trailing':
      return trailingTimesteps(last, train / steps);
    default:
      return linspace(0, last - 1, steps + 1)
        .map(roundHalfEven)
        .reverse()
        .slice(0, -1);
  }
}
