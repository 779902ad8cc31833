import { invalid } from '../checks.ts';

/**
 * The position in the timesteps, for samplers whose steps look at their neighbours.
 *
 * It starts where `begin` says, else where the first `t` is found; a timestep that occurs more than
 * once means its second place (diffusers' rule, made for image-to-image with second-order samplers).
 * From then on it counts steps, whatever `t` is passed.
 */
export class StepIndex {
  readonly #timesteps: readonly number[];
  readonly #missing: 'last' | 'error';
  #begin: number | undefined;
  #current: number | undefined;

  /** @param missing what a `t` that is not in the list means: the DPM-Solvers take the last place */
  constructor(timesteps: readonly number[], missing: 'last' | 'error' = 'error') {
    this.#timesteps = timesteps;
    this.#missing = missing;
  }

  begin(index: number): void {
    this.#begin = index;
  }

  /** The index of this step. */
  at(t: number): number {
    return (this.#current ??= this.#begin ?? this.#find(t));
  }

  /** Ends a step. */
  advance(): void {
    this.#current = (this.#current ?? 0) + 1;
  }

  /** The index whose noise level `addNoise` means. */
  forNoise(t: number): number {
    return this.#begin === undefined ? this.#find(t) : (this.#current ?? this.#begin);
  }

  #find(t: number): number {
    if (this.#missing === 'last' && !this.#timesteps.includes(t)) return this.#timesteps.length - 1;
    const first = indexOf(this.#timesteps, t);
    const second = this.#timesteps.indexOf(t, first + 1);
    // Where rounding doubles the very first timestep diffusers runs past the end; start at the start.
    return second < 0 || first === 0 ? first : second;
  }
}

/**
 * The first place of `t`.
 * @throws SDError INVALID_OPTION where it has none
 */
export function indexOf(timesteps: readonly number[], t: number): number {
  const index = timesteps.indexOf(t);
  if (index < 0) throw invalid(`${t} is not one of this sampler's timesteps.`);
  return index;
}
