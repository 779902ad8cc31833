/** `read`: weights, which never share a buffer with what is written. `state`: everything else. */
export type Access = 'read' | 'state';

/**
 * A kernel, by the name of its entry point: the files that make its module (`storage`, `weights`,
 * `reduce` and `neighbours` stand for the variant in use), and the numbers of its bindings after the
 * uniform block at 0.
 */
export interface Kernel {
  readonly files: readonly string[];
  readonly state: readonly number[];
  readonly read?: readonly number[];
}

const matrix = ['storage', 'weights', 'activation', 'gemm-shape'];
const pointwise = ['storage', 'activation', 'grid', 'pointwise'];
const stats = ['storage', 'reduce', 'norm-stats'];
const guidance = ['storage', 'grid', 'reduce', 'guidance'];

/** Activations are `state` even where they are only read: the arena is one buffer, and WebGPU allows
 * reading and writing it in one dispatch only through writable bindings of separate ranges. */
export const KERNELS = {
  gemm: { files: [...matrix, 'gemm'], state: [1, 2, 3, 6, 7, 8], read: [4, 5] },
  gemmSplit: { files: [...matrix, 'gemm'], state: [1, 2, 3, 9], read: [4] },
  gemmReduce: { files: [...matrix, 'grid', 'gemm-reduce'], state: [6, 7, 8, 9], read: [4, 5] },
  attention: { files: ['storage', 'neighbours', 'attention'], state: [1, 2, 3, 4] },
  regroup: { files: ['storage', 'grid', 'regroup'], state: [1, 2] },
  groupStats: { files: stats, state: [1, 2, 6], read: [3, 4] },
  groupParts: { files: stats, state: [1, 2, 5] },
  groupFinish: { files: stats, state: [5, 6], read: [3, 4] },
  layerNorm: { files: ['storage', 'reduce', 'layer-norm'], state: [1, 4], read: [2, 3] },
  activation: { files: pointwise, state: [1, 3] },
  add: { files: pointwise, state: [1, 2, 3] },
  join: { files: ['storage', 'activation', 'grid', 'join'], state: [1, 2, 3, 4] },
  geglu: { files: ['storage', 'activation', 'grid', 'geglu'], state: [1, 2] },
  upsample: { files: ['storage', 'grid', 'upsample'], state: [1, 2] },
  embed: { files: ['storage', 'grid', 'embed'], state: [1, 4], read: [2, 3] },
  sinusoid: { files: ['storage', 'grid', 'sinusoid'], state: [1, 3], read: [2] },
  combine: { files: ['grid', 'combine'], state: [1], read: [2] },
  feed: { files: ['storage', 'grid', 'feed'], state: [1, 4], read: [2, 3] },
  guide: { files: guidance, state: [1, 2], read: [3] },
  rescale: { files: guidance, state: [1, 2], read: [3] },
  selectRow: { files: ['storage', 'grid', 'select-row'], state: [1, 2, 3] },
} as const satisfies Record<string, Kernel>;

export type KernelName = keyof typeof KERNELS;

/** In the order in which operands are given. */
export function bindingsOf(name: KernelName): [index: number, access: Access][] {
  const { state, read = [] }: Kernel = KERNELS[name];
  const entries = (indices: readonly number[], access: Access) =>
    indices.map((index): [number, Access] => [index, access]);
  return [...entries(state, 'state'), ...entries(read, 'read')].sort(([a], [b]) => a - b);
}
