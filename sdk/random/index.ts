import { SDError } from '../errors.ts';
import type { Generator } from './generator.ts';
import { NumpyGenerator } from './numpy.ts';
import { PhiloxGenerator } from './philox.ts';
import { TorchGenerator } from './torch-cpu.ts';

export { elementCount, type Generator } from './generator.ts';
export { ListGenerator } from './list.ts';
export { NumpyGenerator } from './numpy.ts';
export { PhiloxGenerator } from './philox.ts';
export { slerp } from './slerp.ts';
export { TorchGenerator } from './torch-cpu.ts';

/** Whose noise a seed means: torch on the CPU, torch on a CUDA card, or NumPy's `RandomState`. */
export type GeneratorKind = 'torch' | 'cuda' | 'numpy';

/**
 * The generator that makes a seed mean what people expect of it.
 * @throws SDError INVALID_OPTION on an unknown kind or a seed it cannot take
 */
export function createGenerator(kind: GeneratorKind, seed: number | bigint): Generator {
  switch (kind) {
    case 'torch':
      return new TorchGenerator(seed);
    case 'cuda':
      return new PhiloxGenerator(seed);
    case 'numpy':
      return new NumpyGenerator(seed);
    default:
      throw new SDError(
        'INVALID_OPTION',
        `Unknown random source '${String(kind)}': use 'torch', 'cuda' or 'numpy'.`,
      );
  }
}
