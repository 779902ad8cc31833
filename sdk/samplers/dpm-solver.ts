import { dpmUpdate, type Algorithm, type Derivatives } from './dpm-updates.ts';
import { drawNoise } from './noise.ts';
import { noiseOf } from './prediction.ts';
import { invalid } from '../checks.ts';
import type { Schedule, StepOptions, StepResult } from './sampler.ts';
import { sigmaDefaults } from './sigmas.ts';
import { SolverSampler, type PathRules, type SolverConfig } from './solver.ts';
import { thresholdDefaults } from './threshold.ts';

/** The settings that both DPM-Solvers have. */
export const dpmDefaults = {
  ...thresholdDefaults,
  ...sigmaDefaults,
  solver_order: 2,
  algorithm_type: 'dpmsolver++',
  solver_type: 'midpoint',
  final_sigmas_type: 'zero',
  lambda_min_clipped: -Infinity,
};

/** What other solvers' settings mean to them. */
export const dpmTranslate = {
  algorithm_type: { deis: 'dpmsolver++' },
  solver_type: { logrho: 'midpoint', bh1: 'midpoint', bh2: 'midpoint' },
};

/** An update up to the next point: from where, and with what. */
interface Update {
  readonly order: number;
  /** Index of the point at which `sample` and the derivatives are. */
  readonly from: number;
  readonly sample: Float32Array;
  readonly derivatives: Derivatives;
}

/** Lu et al., "DPM-Solver" and "DPM-Solver++", whichever outputs the derivatives are made of. */
export abstract class DPMSolver<
  C extends SolverConfig & typeof dpmDefaults,
> extends SolverSampler<C> {
  constructor(config: C, schedule: Schedule, rounding?: PathRules['rounding']) {
    const { algorithm_type, final_sigmas_type } = config;
    if (!algorithm_type.endsWith('++') && final_sigmas_type === 'zero') {
      throw invalid(
        `${algorithm_type} cannot end at a sigma of zero: set final_sigmas_type to 'sigma_min'.`,
      );
    }
    const final = final_sigmas_type === 'sigma_min' ? 'table' : 'zero';
    const highestOrder = algorithm_type === 'sde-dpmsolver' ? 2 : 3;
    super(config, schedule, { rounding, finals: { ruled: final, plain: final }, highestOrder });
  }

  /** @param sample at `points[index]`, whose output is remembered already */
  protected abstract update(index: number, sample: Float32Array): Update;

  protected take(
    index: number,
    modelOutput: Float32Array,
    sample: Float32Array,
    options: StepOptions,
  ): StepResult {
    const { solver_type, thresholding } = this.config;
    const algorithm = this.config.algorithm_type as Algorithm;
    const point = this.points[index];
    const denoised = this.originalOf(modelOutput, sample, point, options);
    if (algorithm.endsWith('++')) this.remember(denoised);
    else if (thresholding) this.remember(noiseOf(sample, denoised, point));
    else this.remember(this.noiseOf(modelOutput, sample, point));

    // diffusers draws noise at every step, the last one too.
    const noise = algorithm.startsWith('sde') ? drawNoise(options) : undefined;
    const { order, from, sample: start, derivatives } = this.update(index, sample);
    const prev = dpmUpdate(
      algorithm,
      order === 3 ? 'heun' : solver_type,
      this.points[from],
      this.points[index + 1],
      start,
      derivatives,
      noise,
    );
    return { prev, denoised };
  }
}
