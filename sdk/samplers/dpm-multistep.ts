import { SDError } from '../errors.ts';
import { defineSampler } from './define.ts';
import { dpmUpdate, type Algorithm, type Derivatives } from './dpm-updates.ts';
import { drawNoise } from './noise.ts';
import { scheduleDefaults } from './noise-schedule.ts';
import { noiseOf } from './prediction.ts';
import type { Schedule, StepOptions, StepResult } from './sampler.ts';
import { sigmaDefaults } from './sigmas.ts';
import { SolverSampler } from './solver.ts';
import { difference, scaled, weightedSum } from './tensor.ts';
import { thresholdDefaults } from './threshold.ts';

const f = Math.fround;

const defaults = {
  ...scheduleDefaults,
  ...thresholdDefaults,
  ...sigmaDefaults,
  timestep_spacing: 'linspace',
  solver_order: 2,
  algorithm_type: 'dpmsolver++',
  solver_type: 'midpoint',
  lower_order_final: true,
  euler_at_final: false,
  use_lu_lambdas: false,
  final_sigmas_type: 'zero',
  lambda_min_clipped: -Infinity,
  rescale_betas_zero_snr: false,
};

export const dpmMultistep = defineSampler({
  className: 'DPMSolverMultistepScheduler',
  defaults,
  choices: {
    algorithm_type: ['dpmsolver', 'dpmsolver++', 'sde-dpmsolver', 'sde-dpmsolver++'],
    solver_type: ['midpoint', 'heun'],
  },
  translate: {
    algorithm_type: { deis: 'dpmsolver++' },
    solver_type: { logrho: 'midpoint', bh1: 'midpoint', bh2: 'midpoint' },
  },
  takes: ['timesteps', 'sigmas'],
  create: (config, schedule) => new DPMMultistep(config, schedule),
});

/** Lu et al., "DPM-Solver++": multistep of orders 1 to 3 ("DPM++ 2M", "3M" and their SDE forms). */
class DPMMultistep extends SolverSampler {
  readonly #config: typeof defaults;
  readonly #algorithm: Algorithm;
  /** What the solver integrates (x0 or ε), newest first. */
  #outputs: Float32Array[] = [];

  constructor(config: typeof defaults, schedule: Schedule) {
    checkSolver(config);
    const final = config.final_sigmas_type === 'sigma_min' ? 'table' : 'zero';
    const rounding = config.beta_schedule === 'squaredcos_cap_v2' ? 'truncate' : 'nearest';
    super(config, schedule, { rounding, finals: { ruled: final, plain: final } });
    this.#config = config;
    this.#algorithm = config.algorithm_type as Algorithm;
  }

  step(
    modelOutput: Float32Array,
    t: number,
    sample: Float32Array,
    options: StepOptions,
  ): StepResult {
    const index = this.index.at(t);
    const denoised = this.originalAt(index, modelOutput, sample, options);
    const { alpha, sigma } = this.points[index];
    const integrated = this.#algorithm.endsWith('++')
      ? denoised
      : this.#config.thresholding
        ? noiseOf(sample, denoised, alpha, sigma)
        : this.noiseAt(index, modelOutput, sample);
    const ran = this.#outputs.length;
    this.#outputs = [integrated, ...this.#outputs].slice(0, this.#config.solver_order);

    // diffusers draws noise at every step, the last one too.
    const noise = this.#algorithm.startsWith('sde') ? drawNoise(options) : undefined;
    const order = this.#orderAt(index, ran);
    const prev = dpmUpdate(
      this.#algorithm,
      order === 3 ? 'heun' : this.#config.solver_type,
      this.points[index],
      this.points[index + 1],
      sample,
      this.#derivatives(index, order),
      noise,
    );
    this.index.advance();
    return { prev, denoised };
  }

  /** The first steps have too little history; the last ones of a short run are kept stable. */
  #orderAt(index: number, ran: number): number {
    const { solver_order, lower_order_final, euler_at_final, final_sigmas_type } = this.#config;
    const left = this.timesteps.length - index;
    const short = lower_order_final && this.timesteps.length < 15;
    const euler = euler_at_final || short || final_sigmas_type === 'zero';
    if (solver_order === 1 || ran < 1 || (left === 1 && euler)) return 1;
    if (solver_order === 2 || ran < 2 || (left === 2 && short)) return 2;
    return 3;
  }

  /** The derivatives by λ, from differences of the last outputs. */
  #derivatives(index: number, order: number): Derivatives {
    const [m0, m1, m2] = this.#outputs;
    if (order === 1) return { d0: m0 };
    const lambda = (offset: number) => this.points[index + offset].lambda;
    const h = f(lambda(1) - lambda(0));
    const r0 = f(f(lambda(0) - lambda(-1)) / h);
    const slope0 = scaled(difference(m0, m1), f(1 / r0));
    if (order === 2) return { d0: m0, d1: slope0 };
    const r1 = f(f(lambda(-1) - lambda(-2)) / h);
    const slope1 = scaled(difference(m1, m2), f(1 / r1));
    const bend = difference(slope0, slope1);
    const total = f(r0 + r1);
    return {
      d0: m0,
      d1: weightedSum([1, slope0], [f(r0 / total), bend]),
      d2: scaled(bend, f(1 / total)),
    };
  }
}

/** @throws SDError INVALID_OPTION on settings that no DPM-Solver has */
export function checkSolver(
  config: Readonly<{ solver_order: number; algorithm_type: string; final_sigmas_type: string }>,
): void {
  const { solver_order, algorithm_type, final_sigmas_type } = config;
  const most = algorithm_type === 'sde-dpmsolver' ? 2 : 3;
  if (!Number.isInteger(solver_order) || solver_order < 1 || solver_order > most) {
    throw new SDError(
      'INVALID_OPTION',
      `The solver_order of ${algorithm_type} must be from 1 to ${most}, but is ${solver_order}.`,
    );
  }
  if (!algorithm_type.endsWith('++') && final_sigmas_type === 'zero') {
    throw new SDError(
      'INVALID_OPTION',
      `${algorithm_type} cannot end at a sigma of zero: set final_sigmas_type to 'sigma_min'.`,
    );
  }
}
