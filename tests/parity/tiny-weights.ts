import type { Param } from '../../sdk/graph/index.ts';
import { sizeOf } from '../../sdk/graph/index.ts';
import { TorchGenerator } from '../../sdk/random/index.ts';
import { packTensor } from '../../sdk/weights/pack.ts';
import type { Backend, Weights } from '../../sdk/backends/backend.ts';

/**
 * The weights that the golden files' models have, made by the rule of models.json: names in
 * ascending order, tensor i drawn from seed `base + i`, matrices scaled by 1/√fan-in.
 */
export function tinyWeights(params: Iterable<Param>, base = 1000): Map<string, Float32Array> {
  const sorted = [...params].sort((a, b) => (a.name < b.name ? -1 : 1));
  return new Map(
    sorted.map(({ name, shape }, i) => {
      const data = new TorchGenerator(base + i).randn(shape);
      if (shape.length >= 2) {
        const gain = Math.fround(1 / Math.sqrt(sizeOf(shape.slice(1))));
        return [name, data.map((x) => Math.fround(x * gain))];
      }
      if (name.endsWith('weight'))
        return [name, data.map((x) => Math.fround(1 + Math.fround(Math.fround(0.1) * x)))];
      return [name, data.map((x) => Math.fround(Math.fround(0.05) * x))];
    }),
  );
}

/** Loads plain weights in torch's layout into an engine, as float32. */
export async function loadTinyWeights(
  backend: Backend,
  params: ReadonlyMap<string, Param>,
  values: ReadonlyMap<string, Float32Array>,
): Promise<Weights> {
  const weights = await backend.createWeights(params.values(), 'f32');
  for (const param of params.values()) {
    const own = values.get(param.name) as Float32Array<ArrayBuffer>;
    await weights.set(packTensor(param, own, 'f32'));
  }
  return weights;
}

/** Largest absolute difference; NaN anywhere is infinitely wrong. */
export function maxError(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (actual.length !== expected.length) return Infinity;
  let most = 0;
  for (let i = 0; i < actual.length; i++) {
    const error = Math.abs(actual[i] - expected[i]);
    if (!(error <= most)) most = Number.isNaN(error) ? Infinity : error;
  }
  return most;
}
