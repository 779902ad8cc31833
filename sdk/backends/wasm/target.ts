import type { ActivationFn, Tensor } from '../../graph/index.ts';
import * as L from '../../../wasm/engine/layout.ts';
import type { WasmWeights } from './weights.ts';

/** What lowering needs to know beside the step itself. */
export interface Target {
  readonly weights: WasmWeights;
  readonly threads: number;
  /** Rows of the micro-kernel's block: 6 with fused multiply-add, 4 without. */
  readonly rowBlock: number;
  /** Offset of a tensor in the arena. */
  at(t: Tensor): number;
  /** Offset of `bytes` more of memory that lives for the step. */
  workspace(bytes: number): number;
  /** Rows of a tile of a pointwise op over rows of `width` elements. */
  tileRows(rows: number, width: number): number;
}

const ACTIVATIONS: Readonly<Record<ActivationFn, number>> = {
  silu: L.ACT_SILU,
  gelu: L.ACT_GELU,
  quick_gelu: L.ACT_QUICK_GELU,
  relu: L.ACT_RELU,
  tanh: L.ACT_TANH,
};

export function activationCode(fn: ActivationFn | undefined): number {
  return fn ? ACTIVATIONS[fn] : L.ACT_NONE;
}
