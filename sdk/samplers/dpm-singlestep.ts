import { defineSampler } from './define.ts';
import { dpmDefaults, DPMSolver, dpmTranslate } from './dpm-solver.ts';
import type { Derivatives } from './dpm-updates.ts';
import { betaDefaults } from './noise-schedule.ts';
import type { Schedule } from './sampler.ts';
import { difference, divided, f, scaled, weightedSum } from './tensor.ts';

const defaults = { ...betaDefaults, ...dpmDefaults, lower_order_final: false };

export const dpmSinglestep = defineSampler({
  className: 'DPMSolverSinglestepScheduler',
  names: { 'DPM++ 2S': {} },
  defaults,
  choices: {
    algorithm_type: ['dpmsolver', 'dpmsolver++', 'sde-dpmsolver++'],
    solver_type: ['midpoint', 'heun'],
  },
  translate: dpmTranslate,
  takes: ['timesteps', 'sigmas'],
  create: (config, schedule) => new DPMSinglestep(config, schedule),
});

/**
 * Singlestep ("DPM++ 2S"): evaluations come in groups; each goes on from the group's first sample with
 * one more output, so only the last of a group has the full order.
 */
class DPMSinglestep extends DPMSolver<typeof defaults> {
  /** The order of each evaluation: 1, 2, 3, 1, 2, 3, … */
  readonly #orders: readonly number[];
  #groupStart: Float32Array | undefined;

  constructor(config: typeof defaults, schedule: Schedule) {
    super(config, schedule);
    this.#orders = orderList(this.timesteps.length, config);
  }

  protected update(index: number, sample: Float32Array) {
    const order = Math.min(this.#orders[index], this.outputs.length);
    if (order === 1) this.#groupStart = sample;
    return {
      order,
      from: index - order + 1,
      sample: this.#groupStart ?? sample,
      derivatives: this.#derivatives(index, order),
    };
  }

  /** The derivatives by λ at the group's start. */
  #derivatives(index: number, order: number): Derivatives {
    const [m0, m1, m2] = this.outputs;
    if (order === 1) return { d0: m0 };
    const start = this.points[index - order + 1].lambda;
    const h = f(this.points[index + 1].lambda - start);
    const r0 = f(f(this.points[index].lambda - start) / h);
    if (order === 2) return { d0: m1, d1: scaled(difference(m0, m1), f(1 / r0)) };
    const r1 = f(f(this.points[index - 1].lambda - start) / h);
    const near = scaled(difference(m1, m2), f(1 / r1));
    const far = scaled(difference(m0, m2), f(1 / r0));
    if (this.config.solver_type === 'midpoint') return { d0: m2, d1: far };
    const apart = f(r0 - r1);
    return {
      d0: m2,
      d1: divided(weightedSum([r0, near], [-r1, far]), apart),
      d2: divided(scaled(difference(far, near), 2), apart),
    };
  }
}

/** The order of each evaluation, so that the run ends on a whole group or at low order. */
function orderList(steps: number, config: typeof defaults): number[] {
  const { solver_order: order, final_sigmas_type } = config;
  const endsAtZero = final_sigmas_type === 'zero';
  // diffusers switches lower_order_final on where the groups would not come out even.
  const lowerFinal = config.lower_order_final || steps % order !== 0 || endsAtZero;
  const orders = Array.from({ length: steps }, (_, i) => (i % order) + 1);
  if (lowerFinal && order > 1 && steps % order === 0) {
    // The last group becomes 1, 2, 1 (or 1, 1).
    orders[steps - 1] = 1;
  }
  if (endsAtZero) orders[steps - 1] = 1;
  return orders;
}
