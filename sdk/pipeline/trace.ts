import type { Combination, Term } from '../backends/backend.ts';
import type { Sampler, StepOptions } from '../samplers/sampler.ts';

/** One evaluation and the step after it, with vectors by the place where they are kept. */
export interface TracedStep {
  readonly timestep: number;
  /** What is made on the host for this step, in the order in which it is drawn. */
  readonly noises: readonly { readonly into: number; readonly make: () => Float32Array }[];
  /** What the model is given, and where its prediction goes. */
  readonly input: Combination;
  readonly output: number;
  /** The next sample; outside a mask the kept picture as noisy as the sample then is. */
  readonly sample: number;
  readonly next: Combination;
  readonly outside?: Combination;
  /** The clean picture that the step predicts. */
  readonly denoised: Combination;
}

/** A whole run of a sampler as sums of vectors. */
export interface Trace {
  readonly steps: readonly TracedStep[];
  /** Places for vectors that are needed at once. */
  readonly places: number;
  readonly start: number;
  /** Where the kept picture and its noise lie, when inpainting. */
  readonly kept?: { readonly latents: number; readonly noise: number };
}

/** Any power of two: rounding is the same at every size, and what is clipped is not. */
const LARGE = 2 ** 30;

/**
 * Finds out what a run will do before it begins. A sampler's steps are sums of its tensors, so run on
 * unit vectors, one for each tensor it ever meets, it returns the coefficients of every sum.
 * @param create makes the sampler of the run, at its start
 * @param keeps whether a kept picture is brought back after each step
 * @returns undefined for a sampler that also looks at values: clipping, dynamic thresholding
 */
export function trace(
  create: () => Sampler,
  { begin, calls }: { readonly begin: number; readonly calls: number },
  options: StepOptions,
  keeps: boolean,
): Trace | undefined {
  const [found, check] = [1, LARGE].map((unit) =>
    traceAt(unit, create(), begin, calls, options, keeps),
  );
  const isLinear = found.steps.every((step, i) => {
    const same = check.steps[i];
    return (['input', 'next', 'denoised'] as const).every((of) => isSame(step[of], same[of]));
  });
  return isLinear ? withPlaces(found) : undefined;
}

function isSame(a: Combination, b: Combination): boolean {
  return (
    a.length === b.length &&
    a.every(({ from, factor }, i) => from === b[i].from && factor === b[i].factor)
  );
}

const START = 0;
const KEPT = { latents: 1, noise: 2 };
/** Vectors that a step may bring: a prediction, a sample, noise. */
const PER_STEP = 4;

/** The run with a place of its own for every vector. */
function traceAt(
  size: number,
  sampler: Sampler,
  begin: number,
  calls: number,
  options: StepOptions,
  keeps: boolean,
): Trace {
  const places = 3 + PER_STEP * calls;
  const unit = (place: number): Float32Array => {
    const vector = new Float32Array(places);
    vector[place] = size;
    return vector;
  };
  const combination = (vector: Float32Array): Combination => {
    const terms: Term[] = [];
    vector.forEach((x, from) => x !== 0 && terms.push({ from, factor: x / size }));
    return terms;
  };
  let free = 3;
  let sample = START;
  const steps = Array.from({ length: calls }, (_, i): TracedStep => {
    const timestep = sampler.timesteps[begin + i];
    const input = combination(sampler.scaleModelInput(unit(sample), timestep));
    const output = free++;
    const noises: { into: number; make: () => Float32Array }[] = [];
    const { prev, denoised } = sampler.step(unit(output), timestep, unit(sample), {
      ...options,
      trace: (make) => {
        noises.push({ into: free, make });
        return unit(free++);
      },
    });
    const after = sampler.timesteps[begin + i + 1];
    const kept = (): Float32Array =>
      i + 1 < calls
        ? sampler.addNoise(unit(KEPT.latents), unit(KEPT.noise), after)
        : unit(KEPT.latents);
    sample = free++;
    return {
      timestep,
      noises,
      input,
      output,
      sample,
      next: combination(prev),
      outside: keeps ? combination(kept()) : undefined,
      denoised: combination(denoised),
    };
  });
  return { steps, places, start: START, kept: keeps ? KEPT : undefined };
}

/** The same with as few places as its vectors need, each free again after its last use. */
function withPlaces({ steps, start, kept }: Trace): Trace {
  const lastUse = new Map<number, number>();
  steps.forEach(({ input, next, outside = [], denoised }, i) => {
    for (const { from } of [...input, ...next, ...outside, ...denoised]) lastUse.set(from, i);
  });
  lastUse.set(steps[steps.length - 1].sample, steps.length);
  const placeOf = new Map<number, number>();
  const free: number[] = [];
  let places = 0;
  const take = (vector: number): number => {
    const place = free.pop() ?? places++;
    placeOf.set(vector, place);
    return place;
  };
  const placed = (terms: Combination): Combination =>
    terms.map(({ from, factor }) => ({ from: placeOf.get(from)!, factor }));

  const startPlace = take(start);
  const keptPlaces = kept && { latents: take(kept.latents), noise: take(kept.noise) };
  const out = steps.map((step, i): TracedStep => {
    const noises = step.noises.map(({ into, make }) => ({ into: take(into), make }));
    const output = take(step.output);
    const sample = take(step.sample);
    const { timestep, outside } = step;
    const traced: TracedStep = {
      timestep,
      noises,
      input: placed(step.input),
      output,
      sample,
      next: placed(step.next),
      outside: outside && placed(outside),
      denoised: placed(step.denoised),
    };
    for (const [vector, place] of placeOf)
      if ((lastUse.get(vector) ?? -1) <= i) {
        free.push(place);
        placeOf.delete(vector);
      }
    return traced;
  });
  return { steps: out, places, start: startPlace, kept: keptPlaces };
}
