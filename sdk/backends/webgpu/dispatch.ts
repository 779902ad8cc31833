import type { WeightDtype } from '../backend.ts';
import type { Constants } from './shader.ts';
import type { KernelName } from './kernels.ts';

/** A range of bytes that a binding sees. */
export type Operand =
  | { readonly from: 'arena'; readonly offset: number; readonly size: number }
  | { readonly from: 'scratch'; readonly offset: number; readonly size: number }
  | {
      readonly from: 'weights';
      readonly buffer: number;
      readonly offset: number;
      readonly size: number;
    }
  | { readonly from: 'constant'; readonly data: Float32Array<ArrayBuffer> }
  | { readonly from: 'nothing' };

export const NOTHING: Operand = { from: 'nothing' };

/** One dispatch, complete but for the GPU's own objects. */
export interface Dispatch {
  readonly kernel: KernelName;
  readonly constants: Constants;
  /** How the weight of a product is stored. */
  readonly weights?: WeightDtype;
  /** In the order of the kernel's bindings. */
  readonly operands: readonly Operand[];
  /** The uniform block, floats as their bits. */
  readonly uniforms: readonly number[];
  readonly grid: readonly [x: number, y: number, z: number];
  /** Estimated work: multiplications and additions, and bytes that must move at least. */
  readonly flops: number;
  readonly bytes: number;
}

const bits = new DataView(new ArrayBuffer(4));

/** A float32 as it stands in a uniform block. */
export function float(x: number): number {
  bits.setFloat32(0, x);
  return bits.getUint32(0);
}

const MAX_GROUPS = 65535;

/** So many workgroups, spread over two axes where one is too short. */
export function grid(count: number): [number, number, number] {
  const y = Math.ceil(count / MAX_GROUPS);
  return [Math.ceil(count / y), y, 1];
}
