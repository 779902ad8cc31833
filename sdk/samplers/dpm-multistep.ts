import { defineSampler } from './define.ts';
import { dpmDefaults, DPMSolver, dpmTranslate } from './dpm-solver.ts';
import type { Derivatives } from './dpm-updates.ts';
import { scheduleDefaults } from './noise-schedule.ts';
import type { Schedule } from './sampler.ts';
import { difference, f, scaled, weightedSum } from './tensor.ts';

const defaults = {
  ...scheduleDefaults,
  ...dpmDefaults,
  timestep_spacing: 'linspace',
  lower_order_final: true,
  euler_at_final: false,
  use_lu_lambdas: false,
  rescale_betas_zero_snr: false,
};

const SDE = { algorithm_type: 'sde-dpmsolver++' };

export const dpmMultistep = defineSampler({
  className: 'DPMSolverMultistepScheduler',
  names: {
    'DPM++ 2M': {},
    'DPM++ 2M SDE': SDE,
    'DPM++ 2M SDE Heun': { ...SDE, solver_type: 'heun' },
    'DPM++ 3M': { solver_order: 3 },
    'DPM++ 3M SDE': { ...SDE, solver_order: 3 },
  },
  defaults,
  choices: {
    algorithm_type: ['dpmsolver', 'dpmsolver++', 'sde-dpmsolver', 'sde-dpmsolver++'],
    solver_type: ['midpoint', 'heun'],
  },
  translate: dpmTranslate,
  takes: ['timesteps', 'sigmas'],
  create: (config, schedule) => new DPMMultistep(config, schedule),
});

/** Multistep of orders 1 to 3 ("DPM++ 2M", "3M" and their SDE forms). */
class DPMMultistep extends DPMSolver<typeof defaults> {
  constructor(config: typeof defaults, schedule: Schedule) {
    super(config, schedule, config.beta_schedule === 'squaredcos_cap_v2' ? 'truncate' : 'nearest');
  }

  protected update(index: number, sample: Float32Array) {
    const { euler_at_final, final_sigmas_type } = this.config;
    const order = this.multistepOrder(index, euler_at_final || final_sigmas_type === 'zero');
    return { order, from: index, sample, derivatives: this.#derivatives(index, order) };
  }

  /** The derivatives by λ, from differences of the last outputs. */
  #derivatives(index: number, order: number): Derivatives {
    const [m0, m1, m2] = this.outputs;
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
