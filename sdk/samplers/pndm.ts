import { SDError } from '../errors.ts';
import { defineSampler } from './define.ts';
import { noiseSchedule, scheduleDefaults } from './noise-schedule.ts';
import { mixNoise, predictNoise, predictOriginal, rates } from './prediction.ts';
import type { Sampler, Schedule, StepResult } from './sampler.ts';
import { divided, scaled, sum, weightedSum } from './tensor.ts';
import { spacedTimesteps } from './timesteps.ts';
import { torchSqrt } from './torch-sqrt.ts';

const f = Math.fround;

const defaults = { ...scheduleDefaults, skip_prk_steps: false, set_alpha_to_one: false };

export const pndm = defineSampler({
  className: 'PNDMScheduler',
  defaults,
  choices: { prediction_type: ['epsilon', 'v_prediction'] },
  create: (config, schedule) => new PNDM(config, schedule),
});

/**
 * Liu et al., "Pseudo Numerical Methods for Diffusion Models on Manifolds": linear multistep (PLMS),
 * warmed up by Runge-Kutta (PRK) or, with `skip_prk_steps`, by evaluating the second timestep twice.
 */
class PNDM implements Sampler {
  readonly timesteps: readonly number[];
  readonly initNoiseSigma = 1;
  readonly order = 1;
  readonly #config: typeof defaults;
  readonly #alphasCumprod: Float32Array;
  readonly #stride: number;
  readonly #prkTimesteps: readonly number[];
  #counter = 0;
  /** The last outputs, newest last. */
  #outputs: Float32Array[] = [];
  #prkSum: Float32Array | undefined;
  #heldSample: Float32Array | undefined;

  constructor(config: typeof defaults, { steps = 1 }: Schedule) {
    this.#config = config;
    this.#alphasCumprod = noiseSchedule(config).alphasCumprod;
    this.#stride = Math.floor(config.num_train_timesteps / steps);
    const ascending = spacedTimesteps(config, steps).reverse();
    if (config.skip_prk_steps) {
      this.#prkTimesteps = [];
      this.timesteps = [
        ...ascending.slice(0, -1),
        ...ascending.slice(-2, -1),
        ...ascending.slice(-1),
      ].reverse();
    } else {
      if (steps < 4) {
        throw new SDError(
          'INVALID_OPTION',
          `PNDM needs at least 4 steps for its Runge-Kutta warm-up, not ${steps}; set skip_prk_steps for fewer.`,
        );
      }
      this.#prkTimesteps = prkTimesteps(ascending.slice(-4), Math.floor(this.#stride / 2));
      this.timesteps = [...this.#prkTimesteps, ...ascending.slice(0, -3).reverse()];
    }
  }

  /** Nothing to do: PNDM counts its own evaluations from where the run starts. */
  setBeginIndex(): void {}

  scaleModelInput(sample: Float32Array): Float32Array {
    return sample;
  }

  step(modelOutput: Float32Array, t: number, sample: Float32Array): StepResult {
    const { alpha, sigma } = rates(this.#alphasCumprod[t]);
    const { prediction_type } = this.#config;
    const denoised = predictOriginal(prediction_type, modelOutput, sample, alpha, sigma);
    const warmingUp = this.#counter < this.#prkTimesteps.length;
    const prev = warmingUp
      ? this.#stepPrk(modelOutput, t, sample)
      : this.#stepPlms(modelOutput, t, sample);
    this.#counter++;
    return { prev, denoised };
  }

  addNoise(original: Float32Array, noise: Float32Array, t: number): Float32Array {
    return mixNoise(original, noise, this.#alphasCumprod[t]);
  }

  /** One of the four evaluations of a Runge-Kutta step. */
  #stepPrk(output: Float32Array, t: number, sample: Float32Array): Float32Array {
    const stage = this.#counter % 4;
    const target = t - (stage % 2 ? 0 : Math.floor(this.#stride / 2));
    const start = this.#prkTimesteps[this.#counter - stage];
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
    const product = this.#alphasCumprod[t];
    const final = this.#config.set_alpha_to_one ? 1 : this.#alphasCumprod[0];
    const previous = target >= 0 ? this.#alphasCumprod[target] : final;
    const betaProduct = f(1 - product);
    const { alpha, sigma } = rates(product);
    const noise = predictNoise(this.#config.prediction_type, output, sample, alpha, sigma);
    const ofSample = torchSqrt(f(previous / product));
    const denominator = f(
      f(product * torchSqrt(f(1 - previous))) + torchSqrt(f(f(product * betaProduct) * previous)),
    );
    const moved = divided(scaled(noise, f(previous - product)), denominator);
    return weightedSum([ofSample, sample], [-1, moved]);
  }
}

/** The evaluations of three Runge-Kutta steps: each goes start, half, half, end. */
function prkTimesteps(lastFour: readonly number[], half: number): number[] {
  const halves = lastFour.flatMap((t) => [t, t + half]).slice(0, -1);
  return halves
    .flatMap((t) => [t, t])
    .slice(1, -1)
    .reverse();
}
