/** `read`: weights, which never share a buffer with what is written. `state`: everything else. */
export type Access = 'read' | 'state';

/**
 * A kernel: the files that make its module (`storage`, `weights`, `reduce` and `neighbours` stand for
 * the variant in use), its entry point, and its bindings after the uniform block at 0.
 */
export interface Kernel {
  readonly files: readonly string[];
  readonly entry: string;
  readonly bindings: Readonly<Record<number, Access>>;
}

const gemm: Kernel['bindings'] = {
  1: 'state', // x
  2: 'state', // skip
  3: 'state', // norm
  4: 'read', // weight
  5: 'read', // bias
  6: 'state', // channelBias
  7: 'state', // residual
  8: 'state', // out
};
const matrixFiles = ['storage', 'weights', 'activation', 'gemm-shape'];
const pointwise = ['storage', 'activation', 'grid', 'pointwise'];
const stats = ['storage', 'reduce', 'norm-stats'];
const guidance = ['storage', 'grid', 'reduce', 'guidance'];

/** Activations are `state` even where they are only read: the arena is one buffer, and WebGPU allows
 * reading and writing it in one dispatch only through writable bindings of separate ranges. */
export const KERNELS = {
  gemm: { files: [...matrixFiles, 'gemm'], entry: 'gemm', bindings: gemm },
  gemmSplit: {
    files: [...matrixFiles, 'gemm'],
    entry: 'gemmSplit',
    bindings: { 1: 'state', 2: 'state', 3: 'state', 4: 'read', 9: 'state' },
  },
  gemmReduce: {
    files: [...matrixFiles, 'gemm-reduce'],
    entry: 'gemmReduce',
    bindings: { 4: 'read', 5: 'read', 6: 'state', 7: 'state', 8: 'state', 9: 'state' },
  },
  attention: {
    files: ['storage', 'neighbours', 'attention'],
    entry: 'attention',
    bindings: { 1: 'state', 2: 'state', 3: 'state', 4: 'state' },
  },
  regroup: {
    files: ['storage', 'regroup'],
    entry: 'regroup',
    bindings: { 1: 'state', 2: 'state' },
  },
  groupStats: {
    files: stats,
    entry: 'groupStats',
    bindings: { 1: 'state', 2: 'state', 3: 'read', 4: 'read', 6: 'state' },
  },
  groupParts: {
    files: stats,
    entry: 'groupParts',
    bindings: { 1: 'state', 2: 'state', 5: 'state' },
  },
  groupFinish: {
    files: stats,
    entry: 'groupFinish',
    bindings: { 3: 'read', 4: 'read', 5: 'state', 6: 'state' },
  },
  layerNorm: {
    files: ['storage', 'reduce', 'layer-norm'],
    entry: 'layerNorm',
    bindings: { 1: 'state', 2: 'read', 3: 'read', 4: 'state' },
  },
  activation: { files: pointwise, entry: 'activation', bindings: { 1: 'state', 3: 'state' } },
  scale: { files: pointwise, entry: 'scale', bindings: { 1: 'state', 3: 'state' } },
  add: { files: pointwise, entry: 'add', bindings: { 1: 'state', 2: 'state', 3: 'state' } },
  join: {
    files: ['storage', 'activation', 'grid', 'join'],
    entry: 'join',
    bindings: { 1: 'state', 2: 'state', 3: 'state', 4: 'state' },
  },
  geglu: {
    files: ['storage', 'activation', 'grid', 'geglu'],
    entry: 'geglu',
    bindings: { 1: 'state', 2: 'state' },
  },
  upsample: {
    files: ['storage', 'grid', 'upsample'],
    entry: 'upsample',
    bindings: { 1: 'state', 2: 'state' },
  },
  embed: {
    files: ['storage', 'grid', 'embed'],
    entry: 'embed',
    bindings: { 1: 'state', 2: 'read', 3: 'read', 4: 'state' },
  },
  sinusoid: {
    files: ['storage', 'grid', 'sinusoid'],
    entry: 'sinusoid',
    bindings: { 1: 'state', 2: 'read', 3: 'state' },
  },
  combine: { files: ['grid', 'combine'], entry: 'combine', bindings: { 1: 'state', 2: 'read' } },
  feed: {
    files: ['storage', 'grid', 'feed'],
    entry: 'feed',
    bindings: { 1: 'state', 2: 'read', 3: 'read', 4: 'state' },
  },
  guide: { files: guidance, entry: 'guide', bindings: { 1: 'state', 2: 'state', 3: 'read' } },
  rescale: { files: guidance, entry: 'rescale', bindings: { 1: 'state', 2: 'state', 3: 'read' } },
  selectRow: {
    files: ['storage', 'grid', 'select-row'],
    entry: 'selectRow',
    bindings: { 1: 'state', 2: 'state', 3: 'state' },
  },
} as const satisfies Record<string, Kernel>;

export type KernelName = keyof typeof KERNELS;
