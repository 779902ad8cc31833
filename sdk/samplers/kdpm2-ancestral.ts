import { defineSampler } from './define.ts';
import { geometricMiddle, kdpm2Defaults, MidpointSampler, type KDPM2Config } from './kdpm2.ts';
import { drawNoise } from './noise.ts';
import type { Schedule, StepOptions } from './sampler.ts';
import { ancestralSplit } from './sigma-sampler.ts';
import { f, weightedSum } from './tensor.ts';

export const kdpm2Ancestral = defineSampler({
  className: 'KDPM2AncestralDiscreteScheduler',
  names: { 'DPM2 a': {} },
  defaults: kdpm2Defaults,
  choices: { prediction_type: ['epsilon', 'v_prediction'] },
  takes: ['sigmas'],
  create: (config, schedule) => new KDPM2Ancestral(config, schedule),
});

/** k-diffusion's "DPM2 a": DPM2 to a σ below the next, then noise up to it. */
class KDPM2Ancestral extends MidpointSampler {
  constructor(config: KDPM2Config, schedule: Schedule) {
    super(config, schedule, (sigma, next) =>
      geometricMiddle(sigma, ancestralSplit(sigma, next).down),
    );
  }

  protected override finish(
    start: Float32Array,
    derivative: Float32Array,
    sigma: number,
    next: number,
    options: StepOptions,
  ): Float32Array {
    const { up, down } = ancestralSplit(sigma, next);
    const moved = weightedSum([1, start], [f(down - sigma), derivative]);
    return weightedSum([1, moved], [up, drawNoise(options)]);
  }
}
