import { SDError } from '../errors.ts';
import type { StepOptions } from './sampler.ts';

/**
 * Standard normal noise of the latents' shape.
 * @throws SDError INVALID_OPTION without a generator: a fixed seed would lose its meaning silently
 */
export function drawNoise(options: StepOptions): Float32Array {
  if (!options.generator) {
    throw new SDError(
      'INVALID_OPTION',
      'This sampler adds noise at each step: pass a generator in the step options.',
    );
  }
  return options.generator.randn(options.shape);
}
