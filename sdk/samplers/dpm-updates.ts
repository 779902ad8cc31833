import type { Point } from './solver.ts';
import { f, weightedSum } from './tensor.ts';
import { torchExp } from './torch-math.ts';
import { torchSqrt } from './torch-sqrt.ts';

/** "dpmsolver" integrates ε, "++" x0; "sde-" adds noise. */
export type Algorithm = 'dpmsolver' | 'dpmsolver++' | 'sde-dpmsolver' | 'sde-dpmsolver++';

/** The derivatives of the integrand by λ that an update uses, from the value itself on. */
export interface Derivatives {
  readonly d0: Float32Array;
  readonly d1?: Float32Array;
  readonly d2?: Float32Array;
}

/**
 * One DPM-Solver update (Lu et al., "DPM-Solver++", appendix B; the SDE ones after Gonzalez et al.,
 * "SEEDS"): the linear part of the equation exactly, the rest by its Taylor expansion in λ.
 *
 * @param from where `sample` stands
 * @param to where the update goes
 * @param type how `d1` enters at second order: "midpoint" or by the exact integral, "heun"
 * @param noise standard normal, for the "sde-" algorithms
 */
export function dpmUpdate(
  algorithm: Algorithm,
  type: string,
  from: Point,
  to: Point,
  sample: Float32Array,
  { d0, d1, d2 }: Derivatives,
  noise?: Float32Array,
): Float32Array {
  const weights = WEIGHTS[algorithm](from, to, f(to.lambda - from.lambda));
  const ofFirst = type === 'midpoint' ? weights.midpoint : weights.heun;
  return weightedSum(
    [weights.sample, sample],
    [weights.d0, d0],
    ...(d1 ? ([[ofFirst, d1]] as const) : []),
    ...(d2 ? ([[weights.d2, d2]] as const) : []),
    ...(noise ? ([[weights.noise, noise]] as const) : []),
  );
}

interface Weights {
  readonly sample: number;
  readonly d0: number;
  readonly midpoint: number;
  readonly heun: number;
  readonly d2: number;
  readonly noise: number;
}

const WEIGHTS: Readonly<Record<Algorithm, (from: Point, to: Point, h: number) => Weights>> = {
  'dpmsolver++': (from, to, h) => {
    const decay = f(torchExp(-h) - 1);
    const first = f(to.alpha * decay);
    return {
      sample: f(to.sigma / from.sigma),
      d0: -first,
      midpoint: -f(0.5 * first),
      heun: f(to.alpha * f(f(decay / h) + 1)),
      d2: -f(to.alpha * f(f(f(decay + h) / f(h * h)) - 0.5)),
      noise: 0,
    };
  },
  dpmsolver: (from, to, h) => {
    const growth = f(torchExp(h) - 1);
    const first = f(to.sigma * growth);
    return {
      sample: f(to.alpha / from.alpha),
      d0: -first,
      midpoint: -f(0.5 * first),
      heun: -f(to.sigma * f(f(growth / h) - 1)),
      d2: -f(to.sigma * f(f(f(growth - h) / f(h * h)) - 0.5)),
      noise: 0,
    };
  },
  'sde-dpmsolver++': (from, to, h) => {
    const twice = f(2 * h);
    const decay = f(1 - torchExp(-twice));
    const first = f(to.alpha * decay);
    return {
      sample: f(f(to.sigma / from.sigma) * torchExp(-h)),
      d0: first,
      midpoint: f(0.5 * first),
      heun: f(to.alpha * f(f(decay / -twice) + 1)),
      d2: f(to.alpha * f(f(f(decay - twice) / f(twice * twice)) - 0.5)),
      noise: f(to.sigma * torchSqrt(decay)),
    };
  },
  'sde-dpmsolver': (from, to, h) => {
    const growth = f(torchExp(h) - 1);
    const first = f(to.sigma * growth);
    return {
      sample: f(to.alpha / from.alpha),
      d0: -f(2 * first),
      midpoint: -first,
      heun: -f(2 * f(to.sigma * f(f(growth / h) - 1))),
      d2: NaN, // there is no third order
      noise: f(to.sigma * torchSqrt(f(torchExp(f(2 * h)) - 1))),
    };
  },
};
