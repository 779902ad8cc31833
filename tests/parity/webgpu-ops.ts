import { interpret } from '../../sdk/graph/reference.ts';
import type { Graph, Param } from '../../sdk/graph/index.ts';
import type { PackedParam, WeightDtype } from '../../sdk/backends/backend.ts';
import type { WebGPUBackend } from '../../sdk/backends/webgpu/index.ts';
import type { WebGPUProgram } from '../../sdk/backends/webgpu/program.ts';
import { packTensor } from '../../sdk/weights/pack.ts';

/** Numbers that look normal, the same every time (mulberry32 and a sum of uniforms). */
export function randomNumbers(count: number, seed: number, scale = 1, mean = 0): Float32Array {
  let state = seed >>> 0;
  const uniform = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  return Float32Array.from(
    { length: count },
    () => mean + scale * 1.7 * (uniform() + uniform() + uniform() + uniform() - 2),
  );
}

export function pack(param: Param, values: Float32Array, dtype: WeightDtype): PackedParam {
  return packTensor(param, values as Float32Array<ArrayBuffer>, dtype);
}

/** Weights scaled so that signals keep their size; norms near one. */
export function randomParams(graph: Graph, seed = 1): Map<string, Float32Array> {
  const params = new Map<string, Float32Array>();
  for (const param of graph.params.values()) {
    const size = param.shape.reduce((a, b) => a * b, 1);
    const fanIn = size / param.shape[0];
    const isNorm = param.kind === 'vector' && /norm.*weight/.test(param.name);
    const scale = param.kind === 'matrix' ? 1 / Math.sqrt(fanIn) : param.kind === 'table' ? 1 : 0.3;
    params.set(
      param.name,
      randomNumbers(size, (seed += 7919), isNorm ? 0.2 : scale, isNorm ? 1 : 0),
    );
  }
  return params;
}

export type Inputs = ReadonlyMap<string, Float32Array | Int32Array>;

export function randomInputs(graph: Graph, seed = 2): Map<string, Float32Array> {
  return new Map(
    [...graph.inputs].map(([name, t]) => [name, randomNumbers(t.size, (seed += 104729))]),
  );
}

/** Root mean square of the difference, relative to that of what is right; NaN counts as infinite. */
export function relativeError(got: ArrayLike<number>, right: ArrayLike<number>): number {
  if (got.length !== right.length) return Infinity;
  let difference = 0;
  let size = 0;
  for (let i = 0; i < right.length; i++) {
    difference += (got[i] - right[i]) ** 2;
    size += right[i] ** 2;
  }
  const error = Math.sqrt(difference / size);
  return Number.isNaN(error) ? Infinity : error;
}

/** Runs a graph on poisoned memory and on the reference; returns the worst output's error. */
export async function compare(
  backend: WebGPUBackend,
  graph: Graph,
  dtype: WeightDtype,
  options: { params?: Map<string, Float32Array>; inputs?: Inputs } = {},
): Promise<number> {
  const { params = randomParams(graph), inputs = randomInputs(graph) } = options;
  const weights = await backend.createWeights(graph.params.values(), dtype);
  for (const param of graph.params.values())
    await weights.set(pack(param, params.get(param.name)!, dtype));
  const program = (await backend.compile(graph, weights)) as WebGPUProgram;
  program.poison();
  for (const [name, data] of inputs) program.write(name, data);
  await program.run();
  const right = interpret(graph, params, inputs);
  let worst = 0;
  for (const [name, values] of right)
    worst = Math.max(worst, relativeError(await program.read(name), values));
  program.dispose();
  weights.dispose();
  return worst;
}
