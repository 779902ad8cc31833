import { defineSampler } from './define.ts';
import { geometricMiddle, kdpm2Defaults, kdpm2Path, type KDPM2Config } from './kdpm2.ts';
import { drawNoise } from './noise.ts';
import { predictOriginalK } from './prediction.ts';
import type { Schedule, StepOptions, StepResult } from './sampler.ts';
import { ancestralSplit, SigmaSampler, unitScale } from './sigma-sampler.ts';
import { difference, divided, weightedSum } from './tensor.ts';

const f = Math.fround;

export const kdpm2Ancestral = defineSampler({
  className: 'KDPM2AncestralDiscreteScheduler',
  defaults: kdpm2Defaults,
  choices: { prediction_type: ['epsilon', 'v_prediction'] },
  takes: ['sigmas'],
  create: (config, schedule) => new KDPM2Ancestral(config, schedule),
});

/** k-diffusion's "DPM2 a": DPM2 to a σ below the next, then noise up to it. */
class KDPM2Ancestral extends SigmaSampler {
  override readonly order = 2;
  readonly #predictionType: string;
  readonly #middles: readonly number[];
  #start: Float32Array | undefined;

  constructor(config: KDPM2Config, schedule: Schedule) {
    const { path, middles } = kdpm2Path(config, schedule, (sigma, next) =>
      geometricMiddle(sigma, ancestralSplit(sigma, next).down),
    );
    super(path, config.timestep_spacing);
    this.#predictionType = config.prediction_type;
    this.#middles = middles;
  }

  override scaleModelInput(sample: Float32Array, t: number): Float32Array {
    const index = this.index.at(t);
    const sigma = this.#start ? this.#middles[index >> 1] : this.sigmas[index];
    return divided(sample, unitScale(sigma));
  }

  step(
    modelOutput: Float32Array,
    t: number,
    sample: Float32Array,
    options: StepOptions,
  ): StepResult {
    const index = this.index.at(t);
    const step = index >> 1;
    const sigma = this.sigmas[2 * step];
    const at = this.#start ? this.#middles[step] : sigma;
    const x0 = predictOriginalK(this.#predictionType, modelOutput, sample, at);
    const derivative = divided(difference(sample, x0), at);
    this.index.advance();
    if (this.#start) {
      const start = this.#start;
      this.#start = undefined;
      const { up, down } = ancestralSplit(sigma, this.sigmas[index]);
      const moved = weightedSum([1, start], [f(down - sigma), derivative]);
      return { prev: weightedSum([1, moved], [up, drawNoise(options)]), denoised: x0 };
    }
    this.#start = sample;
    const dt = f(this.#middles[step] - sigma);
    return { prev: weightedSum([1, sample], [dt, derivative]), denoised: x0 };
  }
}
