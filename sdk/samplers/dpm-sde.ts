import { invalid } from '../checks.ts';
import { BrownianTree } from '../random/brownian-tree.ts';
import { seedBits } from '../random/seed.ts';
import { defineSampler } from './define.ts';
import { drawNoise, noiseFrom } from './noise.ts';
import { scheduleDefaults } from './noise-schedule.ts';
import type { Schedule, StepOptions, StepResult } from './sampler.ts';
import {
  ancestralSplit,
  secondOrderPath,
  sigmaPath,
  SigmaSampler,
  slope,
  type SigmaPath,
} from './sigma-sampler.ts';
import { logSigmas, sigmaDefaults, sigmaToTimestep } from './sigmas.ts';
import { f, weightedSum } from './tensor.ts';
import { torchExp, torchLog } from './torch-math.ts';
import { torchSqrt } from './torch-sqrt.ts';

const defaults = {
  ...scheduleDefaults,
  ...sigmaDefaults,
  beta_start: 0.00085,
  beta_end: 0.012,
  timestep_spacing: 'linspace',
  noise_sampler_seed: null as number | readonly number[] | null,
};
type Config = typeof defaults;

export const dpmSde = defineSampler({
  className: 'DPMSolverSDEScheduler',
  names: { 'DPM++ SDE': {} },
  defaults,
  choices: { prediction_type: ['epsilon', 'v_prediction'] },
  takes: ['sigmas'],
  stepOptions: ['sNoise', 'noiseSeeds'],
  create: (config, schedule) => new DPMSDE(config, sdePath(config, schedule)),
});

/**
 * k-diffusion's "DPM++ SDE": two ancestral half-steps in log σ, with noise from a Brownian tree, so
 * that the picture keeps its content as the number of steps changes.
 *
 * The tree has seeds of its own: `noiseSeeds` of the step options (A1111: the pictures' seeds), else
 * the config's `noise_sampler_seed`, else one drawn from the generator (diffusers takes a new one
 * each time there, so that its pictures cannot be repeated).
 */
class DPMSDE extends SigmaSampler<Config> {
  override readonly order = 2;
  #trees: readonly BrownianTree[] | undefined;
  /** Between the two evaluations of a step: where it started, and the σ in its middle. */
  #half: { start: Float32Array; middle: number } | undefined;

  protected override sigmaAt(index: number): number {
    return this.#half?.middle ?? this.sigmas[index];
  }

  protected take(
    evaluation: number,
    modelOutput: Float32Array,
    sample: Float32Array,
    options: StepOptions,
  ): StepResult {
    const half = this.#half;
    const index = half ? evaluation - 1 : evaluation;
    const [sigma, next] = [this.sigmas[index], this.sigmas[index + 1]];
    const denoised = this.originalAt(this.sigmaAt(index), modelOutput, sample);
    if (next === 0) {
      const derivative = slope(sample, denoised, sigma);
      return { prev: weightedSum([1, sample], [-sigma, derivative]), denoised };
    }
    const [time, nextTime] = [timeOf(sigma), timeOf(next)];
    const target = half ? nextTime : f(time + f(f(nextTime - time) * 0.5));
    const start = half?.start ?? sample;
    this.#half = half ? undefined : { start: sample, middle: sigmaAt(target) };

    const [from, to] = [sigmaAt(time), sigmaAt(target)];
    const up = Math.min(to, ancestralSplit(from, to).up);
    const down = torchSqrt(f(f(to * to) - f(up * up)));
    const downTime = timeOf(down);
    const moved = weightedSum(
      [f(sigmaAt(downTime) / from), start],
      [-f(Math.expm1(f(time - downTime))), denoised],
    );
    const noise = noiseFrom(options, () => this.#noise(from, to, options));
    const scale = f(options.sNoise ?? 1);
    const prev = moved.map((value, i) => value + f(f(noise[i] * scale) * up));
    return { prev, denoised };
  }

  /** The Brownian motion from one σ down to another, as standard normal noise. */
  #noise(from: number, to: number, options: StepOptions): Float32Array {
    this.#trees ??= this.#plant(options);
    const scale = -torchSqrt(Math.abs(f(to - from)));
    const parts = this.#trees.map((tree) => tree.increment(to, from));
    const noise = new Float32Array(parts.reduce((count, part) => count + part.length, 0));
    parts.forEach((part, i) => noise.set(part, i * part.length));
    return noise.map((value) => value / scale);
  }

  /** One tree for each picture given a list of seeds, else one for the whole batch. */
  #plant(options: StepOptions): readonly BrownianTree[] {
    const { shape } = options;
    const given =
      options.noiseSeeds ??
      this.config.noise_sampler_seed ??
      seedFrom(drawNoise({ ...options, shape: [1], trace: undefined }));
    const perPicture = Array.isArray(given);
    const seeds = [given].flat();
    if (perPicture && seeds.length !== shape[0]) {
      throw invalid(
        `DPM++ SDE takes one noise seed for each of the ${shape[0]} pictures, but got ${seeds.length}.`,
      );
    }
    const positive = this.sigmas.filter((sigma) => sigma > 0);
    const [min, max] = [Math.min(...positive), Math.max(...positive)];
    const treeShape = perPicture ? shape.slice(1) : shape;
    return seeds.map((seed) => new BrownianTree(seedBits(seed), treeShape, min, max));
  }
}

/** Time in the SDE's sense, −log σ, and back, in f32. */
const timeOf = (sigma: number) => -torchLog(sigma);
const sigmaAt = (time: number) => torchExp(-time);

/** A seed from the bits of one drawn number. */
function seedFrom(drawn: Float32Array): number {
  return new Uint32Array(drawn.buffer)[0];
}

/** Each step is evaluated at its start and at the middle of its −log σ, with timesteps in f64. */
function sdePath(config: Config, schedule: Schedule): SigmaPath {
  const path = sigmaPath(config, schedule, (t) => t);
  const logs = logSigmas(config);
  const between = path.timesteps.slice(1).map((_, i) => {
    const [time, next] = [-Math.log(path.sigmas[i]), -Math.log(path.sigmas[i + 1])];
    return sigmaToTimestep(Math.exp(-(time + (next - time) * 0.5)), logs);
  });
  return secondOrderPath(path, between);
}
