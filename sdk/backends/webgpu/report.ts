import type { FuseOptions, Graph } from '../../graph/index.ts';
import { storedAs, type WeightDtype } from '../backend.ts';
import type { Dispatch, Operand } from './dispatch.ts';
import type { KernelName } from './kernels.ts';
import { layOutParams, type Storage } from './layout.ts';
import { Lowering, scratchBytes } from './lowering.ts';

export interface PlanReportOptions {
  readonly storage: Storage;
  readonly weights: WeightDtype;
  readonly norm?: FuseOptions['norm'];
  /** Bytes of the largest buffer and binding; default what every WebGPU device has. */
  readonly maxBuffer?: number;
  readonly maxBinding?: number;
  /** Work of one dispatch before it is cut; default no cut. */
  readonly maxFlops?: number;
}

/** What a model would take on a GPU, computed without one. Bytes and FLOP. */
export interface PlanReport {
  readonly onceDispatches: number;
  readonly perStepDispatches: number;
  readonly arenaBytes: number;
  readonly scratchBytes: number;
  readonly weightBytes: number;
  readonly largestBinding: number;
  readonly largestDispatch: number;
  readonly flops: number;
  /** Per kernel, over one run of the `perStep` part. */
  readonly kernels: ReadonlyMap<KernelName, { dispatches: number; flops: number; bytes: number }>;
}

const MIB = 2 ** 20;

/** Plans a model as it would be compiled for a device of these limits. */
export function reportPlan(graph: Graph, options: PlanReportOptions): PlanReport {
  const { storage, weights, norm = 'loader', maxFlops = Infinity } = options;
  const { maxBuffer = 256 * MIB, maxBinding = 128 * MIB } = options;
  const { slots, buffers } = layOutParams(graph.params.values(), storedAs(weights), maxBuffer);
  const { plan, once, perStep } = new Lowering({ storage, maxBuffer, maxBinding }, graph, slots, {
    norm,
    maxFlops,
    headWords: 16,
  });
  const all = [...once, ...perStep];
  const kernels = new Map<KernelName, { dispatches: number; flops: number; bytes: number }>();
  for (const { kernel, flops, bytes } of perStep) {
    const sum = kernels.get(kernel) ?? { dispatches: 0, flops: 0, bytes: 0 };
    sum.dispatches++;
    sum.flops += flops;
    sum.bytes += bytes;
    kernels.set(kernel, sum);
  }
  return {
    onceDispatches: once.length,
    perStepDispatches: perStep.length,
    arenaBytes: plan.arenaBytes,
    scratchBytes: scratchBytes(all),
    weightBytes: buffers.reduce((sum, bytes) => sum + bytes, 0),
    largestBinding: largest(all, ({ operands }) => Math.max(...operands.map(sizeOf))),
    largestDispatch: largest(all, ({ flops }) => flops),
    flops: perStep.reduce((sum, { flops }) => sum + flops, 0),
    kernels,
  };
}

function largest(dispatches: readonly Dispatch[], of: (d: Dispatch) => number): number {
  return dispatches.reduce((most, d) => Math.max(most, of(d)), 0);
}

function sizeOf(operand: Operand): number {
  return 'size' in operand ? operand.size : 0;
}
