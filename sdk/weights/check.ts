import { sameShape, type ParamKind } from '../graph/tensor.ts';
import { isWeightDType, type TensorReader } from './tensor.ts';

/** What a model says of one of its parameters. */
export interface ParameterSpec {
  /** As torch has it. */
  readonly shape: readonly number[];
  readonly kind: ParamKind;
}

/** All parameters of a model by their diffusers names; the models make it by tracing themselves. */
export type ParameterTable = ReadonlyMap<string, ParameterSpec>;

/** Buffers that are saved with weights and hold none. */
const IGNORED = [
  /(^|\.)position_ids$/,
  /(^|\.)num_batches_tracked$/,
  /(^|\.)logit_scale$/,
  // The discriminator an autoencoder was trained against.
  /(^|\.)loss\./,
];

/** True for buffers such as `position_ids`, which carry no weights. */
export function isIgnorable(name: string): boolean {
  return IGNORED.some((pattern) => pattern.test(name));
}

/** True where a file holds a model's parameters under their own names and shapes, and nothing else. */
export function isExactly(table: ParameterTable, reader: TensorReader): boolean {
  for (const [name, { shape }] of table) {
    const info = reader.info(name);
    if (!info || !sameShape(shape, info.shape) || !isWeightDType(info.dtype)) return false;
  }
  return [...reader.names()].every((name) => table.has(name) || isIgnorable(name));
}
