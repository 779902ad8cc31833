import { invalid } from '../checks.ts';
import type { StepOptions } from './sampler.ts';

/**
 * Standard normal noise of the latents' shape.
 * @throws SDError INVALID_OPTION without a generator: a fixed seed would lose its meaning silently
 */
export function drawNoise(options: StepOptions): Float32Array {
  const { generator, shape } = options;
  if (!generator) {
    throw invalid('This sampler adds noise at each step: pass a generator in the step options.');
  }
  return noiseFrom(options, () => generator.randn(shape));
}

/** Noise of a sampler's own making. */
export function noiseFrom({ trace }: StepOptions, make: () => Float32Array): Float32Array {
  return trace ? trace(make) : make();
}
