export * from './tensor.ts';
export * from './ops.ts';
export * from './graph.ts';
export * from './fuse.ts';
export * from './plan.ts';
