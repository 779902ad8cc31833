import { defineSampler } from './define.ts';
import { dpmUpdate } from './dpm-updates.ts';
import { scheduleDefaults } from './noise-schedule.ts';
import { numpyLog } from './numpy-log.ts';
import { noiseOf } from './prediction.ts';
import type { Schedule, StepOptions, StepResult } from './sampler.ts';
import { sigmaDefaults } from './sigmas.ts';
import { SolverSampler } from './solver.ts';
import { divided, f, scaled, weightedSum } from './tensor.ts';
import { thresholdDefaults } from './threshold.ts';

const defaults = {
  ...scheduleDefaults,
  ...thresholdDefaults,
  ...sigmaDefaults,
  timestep_spacing: 'linspace',
  solver_order: 2,
  algorithm_type: 'deis',
  solver_type: 'logrho',
  lower_order_final: true,
};

export const deis = defineSampler({
  className: 'DEISMultistepScheduler',
  names: { DEIS: {} },
  defaults,
  choices: { algorithm_type: ['deis'], solver_type: ['logrho'] },
  translate: {
    algorithm_type: { dpmsolver: 'deis', 'dpmsolver++': 'deis' },
    solver_type: { midpoint: 'logrho', heun: 'logrho', bh1: 'logrho', bh2: 'logrho' },
  },
  takes: ['sigmas'],
  create: (config, schedule) => new DEIS(config, schedule),
});

/**
 * Zhang and Chen, "Fast Sampling of Diffusion Models with Exponential Integrator": ε extrapolated by
 * a polynomial in log ρ (ρ = σ/α) and integrated exactly.
 */
class DEIS extends SolverSampler<typeof defaults> {
  constructor(config: typeof defaults, schedule: Schedule) {
    super(config, schedule, { finals: { ruled: 'path', plain: 'table' }, highestOrder: 3 });
  }

  protected take(
    index: number,
    modelOutput: Float32Array,
    sample: Float32Array,
    options: StepOptions,
  ): StepResult {
    const [from, to] = this.points.slice(index);
    const denoised = this.originalOf(modelOutput, sample, from, options);
    const noise = noiseOf(sample, denoised, from);
    this.remember(noise);

    const order = this.multistepOrder(index);
    if (order === 1) {
      const prev = dpmUpdate('dpmsolver', 'midpoint', from, to, sample, { d0: noise });
      return { prev, denoised };
    }
    const rho = (offset: number) => {
      const { alpha, sigma } = this.points[index + offset];
      return f(sigma / alpha);
    };
    const past = Array.from({ length: order }, (_, k) => rho(-k));
    const terms = past.map((b, k) => {
      const others = [...past.slice(k + 1), ...past.slice(0, k)];
      const integral = order === 2 ? linearIntegral : quadraticIntegral;
      const weight = f(integral(rho(1), b, others) - integral(rho(0), b, others));
      return [weight, this.outputs[k]] as const;
    });
    const bracket = weightedSum([1, divided(sample, from.alpha)], ...terms);
    return { prev: scaled(bracket, to.alpha), denoised };
  }
}

/** ∫ of the Lagrange polynomial in log ρ that is 1 at `b` and 0 at `c`, up to ρ = `t`. */
function linearIntegral(t: number, b: number, [c]: readonly number[]): number {
  const bracket = f(f(-numpyLog(c) + numpyLog(t)) - 1);
  return f(f(t * bracket) / f(numpyLog(b) - numpyLog(c)));
}

/** The same with zeros at `c` and `d`. */
function quadraticIntegral(t: number, b: number, [c, d]: readonly number[]): number {
  const [logT, logB, logC, logD] = [t, b, c, d].map(numpyLog);
  const first = f(logC * f(f(logD - logT) + 1));
  const bracket = f(f(f(f(f(first - f(logD * logT)) + logD) + f(logT * logT)) - f(2 * logT)) + 2);
  return f(f(t * bracket) / f(f(logB - logC) * f(logB - logD)));
}
