import { invalid } from '../checks.ts';
import { BaseSampler, type BaseConfig } from './base.ts';
import type { Level } from './prediction.ts';
import type { Schedule } from './sampler.ts';
import {
  hasSigmaRule,
  interpolate,
  logSigmas,
  ruledSigmas,
  sigmaTable,
  sigmaToTimestep,
  type SigmaRules,
} from './sigmas.ts';
import { f } from './tensor.ts';
import { torchLog } from './torch-math.ts';
import { linspace, roundHalfEven, trailingTimesteps } from './timesteps.ts';
import { torchSqrt } from './torch-sqrt.ts';

/** The settings that all exponential-integrator solvers (DPM-Solver, DEIS, UniPC) read here. */
export interface SolverConfig extends SigmaRules, BaseConfig {
  readonly num_train_timesteps: number;
  readonly beta_start: number;
  readonly beta_end: number;
  readonly beta_schedule: string;
  readonly trained_betas: readonly number[] | null;
  readonly rescale_betas_zero_snr?: boolean;
  readonly timestep_spacing?: string;
  readonly steps_offset?: number;
  readonly lambda_min_clipped?: number;
  readonly use_lu_lambdas?: boolean;
  readonly solver_order: number;
  readonly lower_order_final: boolean;
  readonly algorithm_type?: string;
  readonly final_sigmas_type?: string;
}

/** A point of the path, with half its log signal-to-noise ratio, in f32. */
export interface Point extends Level {
  readonly lambda: number;
}

/** What the exponential-integrator solvers share: the path, and the outputs they extrapolate from. */
export abstract class SolverSampler<C extends SolverConfig> extends BaseSampler<C> {
  /** One for each evaluation and the end. */
  protected readonly points: readonly Point[];
  /** What is integrated (x0 or ε) at the last points, newest first: as many as the order needs. */
  protected outputs: readonly Float32Array[] = [];

  /** @throws SDError INVALID_OPTION on an order that the solver does not have */
  constructor(config: C, schedule: Schedule, rules: PathRules) {
    const { solver_order: order, algorithm_type = 'UniPC' } = config;
    const { highestOrder = config.num_train_timesteps } = rules;
    if (!Number.isInteger(order) || order < 1 || order > highestOrder) {
      throw invalid(
        `The solver_order of ${algorithm_type} must be a whole number from 1 to ${highestOrder}, but is ${order}.`,
      );
    }
    const { timesteps, sigmas } = solverPath(config, schedule, rules);
    super(config, timesteps, 'last');
    this.points = Array.from(sigmas, pointAt);
  }

  levelAt(t: number): Level {
    return this.points[this.index.forNoise(t)];
  }

  protected remember(output: Float32Array): void {
    this.outputs = [output, ...this.outputs].slice(0, this.config.solver_order);
  }

  /**
   * The order of a multistep update: the first steps have too little history, the last ones of a short
   * run are kept stable.
   * @param endsLow whether the last step is of first order in a long run too
   */
  protected multistepOrder(index: number, endsLow = false): number {
    const left = this.timesteps.length - index;
    const isShort = this.config.lower_order_final && this.timesteps.length < 15;
    if (left === 1 && (isShort || endsLow)) return 1;
    return Math.min(this.outputs.length, left === 2 && isShort ? 2 : 3);
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
  /** Default: any that a run can have. */
  readonly highestOrder?: number;
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
  const table = sigmaTable(config);
  const logs = logSigmas(config);
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
