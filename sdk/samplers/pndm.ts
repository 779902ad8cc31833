import { invalid } from '../checks.ts';
import { AlphaSampler } from './alpha-sampler.ts';
import { defineSampler } from './define.ts';
import { scheduleDefaults } from './noise-schedule.ts';
import type { Schedule, StepOptions, StepResult } from './sampler.ts';
import { divided, f, scaled, sum, weightedSum } from './tensor.ts';
import { spacedTimesteps } from './timesteps.ts';
import { torchSqrt } from './torch-sqrt.ts';

const defaults = { ...scheduleDefaults, skip_prk_steps: false, set_alpha_to_one: false };

export const pndm = defineSampler({
  className: 'PNDMScheduler',
  names: { PNDM: {}, PLMS: { skip_prk_steps: true } },
  defaults,
  choices: { prediction_type: ['epsilon', 'v_prediction'] },
  create: (config, schedule) => new PNDM(config, schedule),
});

/**
 * Liu et al., "Pseudo Numerical Methods for Diffusion Models on Manifolds": linear multistep (PLMS),
 * warmed up by Runge-Kutta (PRK) or, with `skip_prk_steps`, by evaluating the second timestep twice.
 */
class PNDM extends AlphaSampler<typeof defaults> {
  readonly #stride: number;
  /** Evaluations by Runge-Kutta. */
  readonly #warmUp: number;
  /** Evaluations so far, from where the run starts. */
  #counter = 0;
  /** The last outputs, newest last. */
  #outputs: Float32Array[] = [];
  #prkSum: Float32Array | undefined;
  #heldSample: Float32Array | undefined;

  constructor(config: typeof defaults, { steps = 1 }: Schedule) {
    const stride = Math.floor(config.num_train_timesteps / steps);
    const spaced = spacedTimesteps(config, steps);
    if (!config.skip_prk_steps && steps < 4) {
      throw invalid(
        `PNDM needs at least 4 steps for its Runge-Kutta warm-up, not ${steps}; set skip_prk_steps for fewer.`,
      );
    }
    const warmUp = config.skip_prk_steps ? [] : prkTimesteps(spaced, Math.floor(stride / 2));
    const multistep = config.skip_prk_steps
      ? [...spaced.slice(0, 2), ...spaced.slice(1)]
      : spaced.slice(3);
    super(config, [...warmUp, ...multistep]);
    this.#stride = stride;
    this.#warmUp = warmUp.length;
  }

  protected take(
    index: number,
    modelOutput: Float32Array,
    sample: Float32Array,
    options: StepOptions,
  ): StepResult {
    const t = this.timesteps[index];
    const denoised = this.originalOf(modelOutput, sample, this.levelAt(t), options);
    const prev =
      this.#counter < this.#warmUp
        ? this.#stepPrk(modelOutput, t, sample)
        : this.#stepPlms(modelOutput, t, sample);
    this.#counter++;
    return { prev, denoised };
  }

  /** One of the four evaluations of a Runge-Kutta step. */
  #stepPrk(output: Float32Array, t: number, sample: Float32Array): Float32Array {
    const stage = this.#counter % 4;
    const target = t - (stage % 2 ? 0 : Math.floor(this.#stride / 2));
    const start = this.timesteps[this.#counter - stage];
    const weighted = scaled(output, stage === 0 || stage === 3 ? 1 / 6 : 1 / 3);
    const total = this.#prkSum ? sum(this.#prkSum, weighted) : weighted;
    if (stage === 0) {
      this.#outputs.push(output);
      this.#heldSample = sample;
    }
    this.#prkSum = stage === 3 ? undefined : total;
    return this.#transfer(this.#heldSample ?? sample, start, target, stage === 3 ? total : output);
  }

  /** Adams-Bashforth over the last four outputs, of lower order while there are fewer. */
  #stepPlms(output: Float32Array, t: number, sample: Float32Array): Float32Array {
    let target = t - this.#stride;
    if (this.#counter === 1) {
      // The second evaluation redoes the first step with the average of both ends.
      target = t;
      t += this.#stride;
    } else {
      this.#outputs = [...this.#outputs.slice(-3), output];
    }
    const [e1, e2, e3, e4] = this.#outputs.toReversed();
    if (this.#outputs.length === 1 && this.#counter === 0) {
      this.#heldSample = sample;
    } else if (this.#outputs.length === 1 && this.#counter === 1) {
      output = divided(sum(output, e1), 2);
      sample = this.#heldSample ?? sample;
      this.#heldSample = undefined;
    } else if (this.#outputs.length === 2) {
      output = divided(weightedSum([3, e1], [-1, e2]), 2);
    } else if (this.#outputs.length === 3) {
      output = divided(weightedSum([23, e1], [-16, e2], [5, e3]), 12);
    } else {
      output = scaled(weightedSum([55, e1], [-59, e2], [37, e3], [-9, e4]), 1 / 24);
    }
    return this.#transfer(sample, t, target, output);
  }

  /** The paper's equation 9: from `t` to `target` along one ε. */
  #transfer(sample: Float32Array, t: number, target: number, output: Float32Array): Float32Array {
    const product = this.alphasCumprod[t];
    const previous = this.alphaProduct(target);
    const betaProduct = f(1 - product);
    const noise = this.noiseOf(output, sample, this.levelAt(t));
    const ofSample = torchSqrt(f(previous / product));
    const denominator = f(
      f(product * torchSqrt(f(1 - previous))) + torchSqrt(f(f(product * betaProduct) * previous)),
    );
    const moved = divided(scaled(noise, f(previous - product)), denominator);
    return weightedSum([ofSample, sample], [-1, moved]);
  }
}

/** The evaluations of three Runge-Kutta steps: each goes start, half, half, end. */
function prkTimesteps([first, ...others]: readonly number[], half: number): number[] {
  const ends = others.slice(0, 3);
  return [first, ...ends.flatMap((t) => [t + half, t + half, t, t])].slice(0, -1);
}
