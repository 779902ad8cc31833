import type { Graph } from './graph.ts';
import type { FusedGraph, Step } from './fuse.ts';
import type {
  AnyOp,
  ActivationFn,
  AttentionOp,
  ConvGeometry,
  EmbedOp,
  GemmOp,
  GroupNormOp,
  NormStatsOp,
  SinusoidOp,
} from './ops.ts';
import type { Param, Tensor } from './tensor.ts';

/**
 * The oracle: every op, primitive and fused, in plain float64. It is written to be checked by eye
 * against the definitions in ops.ts, not to be fast, and is never part of the bundle.
 */

export type Values = ReadonlyMap<string, ArrayLike<number>>;

/** Runs a graph as written, or fused. Parameters are in torch's layout, results flat. */
export function interpret(
  graph: Graph | FusedGraph,
  params: Values,
  inputs: Values,
): Map<string, Float64Array> {
  const steps: readonly (Step | { op: AnyOp; out: Tensor })[] =
    'steps' in graph ? graph.steps : graph.ops.map((op, i) => ({ op, out: graph.tensors[i] }));
  const storage = 'steps' in graph ? graph.storage : (t: Tensor): Tensor => t;
  const values = new Map<number, Float64Array>();
  const value = (t: Tensor): Float64Array => {
    const data = values.get(storage(t).id);
    if (!data) throw new Error(`tensor ${t.id} has no value yet`);
    return data;
  };
  const param = (p: Param): ArrayLike<number> => {
    const data = params.get(p.name);
    if (!data) throw new Error(`parameter ${p.name} is missing`);
    return data;
  };
  for (const { op, out } of steps) {
    if (op.kind === 'input') {
      const data = inputs.get(op.name);
      if (!data || data.length !== out.size) throw new Error(`input ${op.name} is [${out.shape}]`);
      values.set(out.id, Float64Array.from(data));
    } else values.set(out.id, evaluate(op, out, value, param));
  }
  return new Map([...graph.outputs].map(([name, t]) => [name, value(t)]));
}

type ValueOf = (t: Tensor) => Float64Array;
type ParamOf = (p: Param) => ArrayLike<number>;

/** One op on concrete numbers. */
export function evaluate(op: AnyOp, out: Tensor, value: ValueOf, param: ParamOf): Float64Array {
  switch (op.kind) {
    case 'input':
      throw new Error('inputs are given, not computed');
    case 'linear':
      return gemm({ kind: 'gemm', x: op.x, weight: op.weight, bias: op.bias }, out, value, param);
    case 'conv':
      return gemm({ ...op, kind: 'gemm' }, out, value, param);
    case 'gemm':
      return gemm(op, out, value, param);
    case 'groupNorm':
      return groupNorm(op, value, param);
    case 'normStats':
      return normStats(op, value, param);
    case 'layerNorm': {
      const x = value(op.x);
      const [weight, bias] = [param(op.weight), param(op.bias)];
      const n = op.x.channels;
      const y = new Float64Array(x.length);
      for (let row = 0; row < x.length; row += n) {
        const { mean, rstd } = moments(x.subarray(row, row + n), op.eps);
        for (let i = 0; i < n; i++) y[row + i] = (x[row + i] - mean) * rstd * weight[i] + bias[i];
      }
      return y;
    }
    case 'attention':
      return attend(op, value);
    case 'activation':
      return value(op.x).map((x) => activationOf(op.fn)(x));
    case 'geglu': {
      const x = value(op.x);
      const n = out.channels;
      return new Float64Array(out.size).map((_, i) => {
        const row = Math.floor(i / n) * 2 * n;
        return x[row + (i % n)] * activationOf('gelu')(x[row + n + (i % n)]);
      });
    }
    case 'add': {
      const [a, b] = [value(op.a), value(op.b)];
      if (a.length === b.length) return a.map((x, i) => x + b[i]);
      const n = out.channels;
      const perBatch = a.length / out.shape[0];
      return a.map((x, i) => x + b[Math.floor(i / perBatch) * n + (i % n)]);
    }
    case 'scale':
      return value(op.x).map((x) => x * op.factor);
    case 'concat':
      return join(value(op.a), value(op.b), op.a.channels, op.b.channels);
    case 'upsample':
      return resize(value(op.x), op.x.shape, op.size);
    case 'embed':
      return embed(op, value, param);
    case 'sinusoid':
      return sinusoids(op, value);
    case 'selectRow': {
      const [x, rows] = [value(op.x), value(op.rows)];
      const [, n, channels] = op.x.shape;
      return new Float64Array(out.size).map((_, i) => {
        const batch = Math.floor(i / channels);
        return x[(batch * n + rows[batch]) * channels + (i % channels)];
      });
    }
    case 'reshape':
      return value(op.x);
  }
}

function gemm(op: GemmOp, out: Tensor, value: ValueOf, param: ParamOf): Float64Array {
  let x = op.skip
    ? join(value(op.x), value(op.skip), op.x.channels, op.skip.channels)
    : value(op.x);
  let shape: readonly number[] = op.x.shape;
  const channels = op.x.channels + (op.skip?.channels ?? 0);
  if (op.upsample) {
    x = resize(x, shape, op.upsample);
    shape = [shape[0], ...op.upsample, channels];
  }
  if (op.norm) {
    const stats = value(op.norm);
    const perBatch = x.length / shape[0];
    x = x.map((v, i) => {
      const at = Math.floor(i / perBatch) * 2 * channels + (i % channels);
      return v * stats[at] + stats[at + channels];
    });
  }
  if (op.inputActivation) x = x.map(activationOf(op.inputActivation));

  const weight = param(op.weight);
  const bias = op.bias && param(op.bias);
  const columns = op.weight.shape[0];
  const y = op.geometry
    ? convolve(x, [...shape.slice(0, 3), channels], weight, columns, out.shape, op.geometry)
    : product(x, weight, channels, columns);
  if (bias) for (let i = 0; i < y.length; i++) y[i] += bias[i % columns];
  if (op.geglu) {
    const n = columns / 2;
    return new Float64Array(y.length / 2).map((_, i) => {
      const row = Math.floor(i / n) * columns;
      return y[row + (i % n)] * activationOf('gelu')(y[row + n + (i % n)]);
    });
  }
  if (op.channelBias) {
    const extra = value(op.channelBias);
    const perBatch = y.length / out.shape[0];
    for (let i = 0; i < y.length; i++)
      y[i] += extra[Math.floor(i / perBatch) * columns + (i % columns)];
  }
  if (op.residual) {
    const residual = value(op.residual);
    for (let i = 0; i < y.length; i++) y[i] += residual[i];
  }
  return op.outputActivation ? y.map(activationOf(op.outputActivation)) : y;
}

function product(
  x: Float64Array,
  weight: ArrayLike<number>,
  inner: number,
  columns: number,
): Float64Array {
  const rows = x.length / inner;
  const y = new Float64Array(rows * columns);
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++) {
      let sum = 0;
      for (let k = 0; k < inner; k++) sum += x[row * inner + k] * weight[column * inner + k];
      y[row * columns + column] = sum;
    }
  return y;
}

function convolve(
  x: Float64Array,
  [batch, height, width, channels]: readonly number[],
  weight: ArrayLike<number>,
  columns: number,
  [, outHeight, outWidth]: readonly number[],
  { kernel: [kh, kw], stride, padding, wrap }: ConvGeometry,
): Float64Array {
  const y = new Float64Array(batch * outHeight * outWidth * columns);
  const place = (at: number, size: number, wraps: boolean): number =>
    wraps ? ((at % size) + size) % size : at >= 0 && at < size ? at : -1;
  for (let b = 0; b < batch; b++)
    for (let oy = 0; oy < outHeight; oy++)
      for (let ox = 0; ox < outWidth; ox++)
        for (let ky = 0; ky < kh; ky++)
          for (let kx = 0; kx < kw; kx++) {
            const iy = place(oy * stride + ky - padding.top, height, wrap.y);
            const ix = place(ox * stride + kx - padding.left, width, wrap.x);
            if (iy < 0 || ix < 0) continue;
            const from = ((b * height + iy) * width + ix) * channels;
            const to = ((b * outHeight + oy) * outWidth + ox) * columns;
            for (let n = 0; n < columns; n++) {
              let sum = 0;
              for (let c = 0; c < channels; c++)
                sum += x[from + c] * weight[((n * channels + c) * kh + ky) * kw + kx];
              y[to + n] += sum;
            }
          }
  return y;
}

function moments(x: Float64Array, eps: number): { mean: number; rstd: number } {
  const mean = x.reduce((sum, v) => sum + v, 0) / x.length;
  const variance = x.reduce((sum, v) => sum + (v - mean) ** 2, 0) / x.length;
  return { mean, rstd: 1 / Math.sqrt(variance + eps) };
}

function normStats(op: NormStatsOp | GroupNormOp, value: ValueOf, param: ParamOf): Float64Array {
  const x = op.skip
    ? join(value(op.x), value(op.skip), op.x.channels, op.skip.channels)
    : value(op.x);
  const [weight, bias] = [param(op.weight), param(op.bias)];
  const batch = op.x.shape[0];
  const channels = op.x.channels + (op.skip?.channels ?? 0);
  const pixels = x.length / batch / channels;
  const width = channels / op.groups;
  const stats = new Float64Array(batch * 2 * channels);
  for (let b = 0; b < batch; b++)
    for (let g = 0; g < op.groups; g++) {
      const group = new Float64Array(pixels * width).map((_, i) => {
        const pixel = Math.floor(i / width);
        return x[(b * pixels + pixel) * channels + g * width + (i % width)];
      });
      const { mean, rstd } = moments(group, op.eps);
      for (let c = g * width; c < (g + 1) * width; c++) {
        stats[b * 2 * channels + c] = rstd * weight[c];
        stats[b * 2 * channels + channels + c] = bias[c] - mean * rstd * weight[c];
      }
    }
  return stats;
}

function groupNorm(op: GroupNormOp, value: ValueOf, param: ParamOf): Float64Array {
  const x = op.skip
    ? join(value(op.x), value(op.skip), op.x.channels, op.skip.channels)
    : value(op.x);
  const stats = normStats(op, value, param);
  const channels = op.x.channels + (op.skip?.channels ?? 0);
  const perBatch = x.length / op.x.shape[0];
  const act = op.activation ? activationOf(op.activation) : (v: number): number => v;
  return x.map((v, i) => {
    const at = Math.floor(i / perBatch) * 2 * channels + (i % channels);
    return act(v * stats[at] + stats[at + channels]);
  });
}

function attend({ q, k, v, heads, causal }: AttentionOp, value: ValueOf): Float64Array {
  const [Q, K, V] = [value(q), value(k), value(v)];
  const [batch, n, channels] = q.shape;
  const m = k.shape[1];
  const d = channels / heads;
  const y = new Float64Array(Q.length);
  const scores = new Float64Array(m);
  for (let b = 0; b < batch; b++)
    for (let h = 0; h < heads; h++)
      for (let i = 0; i < n; i++) {
        const seen = causal ? i + 1 : m;
        const row = (b * n + i) * channels + h * d;
        let most = -Infinity;
        for (let j = 0; j < seen; j++) {
          const column = (b * m + j) * channels + h * d;
          let dot = 0;
          for (let c = 0; c < d; c++) dot += Q[row + c] * K[column + c];
          scores[j] = dot / Math.sqrt(d);
          most = Math.max(most, scores[j]);
        }
        let sum = 0;
        for (let j = 0; j < seen; j++) sum += scores[j] = Math.exp(scores[j] - most);
        for (let j = 0; j < seen; j++)
          for (let c = 0; c < d; c++)
            y[row + c] += (scores[j] / sum) * V[(b * m + j) * channels + h * d + c];
      }
  return y;
}

function join(a: Float64Array, b: Float64Array, ca: number, cb: number): Float64Array {
  const n = ca + cb;
  return new Float64Array(a.length + b.length).map((_, i) => {
    const row = Math.floor(i / n);
    const c = i % n;
    return c < ca ? a[row * ca + c] : b[row * cb + c - ca];
  });
}

function resize(
  x: Float64Array,
  [batch, height, width, channels]: readonly number[],
  [outHeight, outWidth]: readonly [number, number],
): Float64Array {
  const y = new Float64Array(batch * outHeight * outWidth * channels);
  for (let b = 0; b < batch; b++)
    for (let oy = 0; oy < outHeight; oy++)
      for (let ox = 0; ox < outWidth; ox++) {
        const iy = Math.floor((oy * height) / outHeight);
        const ix = Math.floor((ox * width) / outWidth);
        const from = ((b * height + iy) * width + ix) * channels;
        y.set(x.subarray(from, from + channels), ((b * outHeight + oy) * outWidth + ox) * channels);
      }
  return y;
}

function embed(op: EmbedOp, value: ValueOf, param: ParamOf): Float64Array {
  const [table, positions] = [param(op.table), param(op.positions)];
  const dim = op.table.shape[1];
  const [batch, n] = op.ids.shape;
  const ids = value(op.ids);
  return new Float64Array(batch * n * dim).map((_, i) => {
    const token = Math.floor(i / dim);
    return table[ids[token] * dim + (i % dim)] + positions[(token % n) * dim + (i % dim)];
  });
}

function sinusoids({ t, dim, flip, shift }: SinusoidOp, value: ValueOf): Float64Array {
  const half = dim / 2;
  const times = value(t);
  return new Float64Array(times.length * dim).map((_, i) => {
    const at = i % dim;
    // torch rounds exponent, frequency and angle to float32, which shows at t near 1000.
    const exponent = Math.fround(Math.fround(-Math.log(10000) * (at % half)) / (half - shift));
    const angle = Math.fround(times[Math.floor(i / dim)] * Math.fround(Math.exp(exponent)));
    return at < half === flip ? Math.cos(angle) : Math.sin(angle);
  });
}

function activationOf(fn: ActivationFn): (x: number) => number {
  switch (fn) {
    case 'silu':
      return (x) => x / (1 + Math.exp(-x));
    case 'quick_gelu':
      return (x) => x / (1 + Math.exp(-1.702 * x));
    case 'gelu':
      return (x) => 0.5 * x * erfc(-x / Math.SQRT2);
    case 'relu':
      return (x) => Math.max(0, x);
    case 'tanh':
      return Math.tanh;
  }
}

/** Complementary error function to double precision. */
function erfc(x: number): number {
  if (Math.abs(x) < 3) {
    // erf(x) = 2/√π · Σ (−1)ⁿ x²ⁿ⁺¹ / (n! (2n+1)), written with positive terms (Abramowitz 7.1.6)
    let term = x;
    let sum = x;
    for (let n = 1; Math.abs(term) > 1e-17 * Math.abs(sum); n++) {
      term *= (2 * x * x) / (2 * n + 1);
      sum += term;
    }
    return 1 - (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
  }
  // Continued fraction (Abramowitz 7.1.14) from the far end.
  const z = Math.abs(x);
  let fraction = z;
  for (let n = 60; n >= 1; n--) fraction = z + n / 2 / fraction;
  const tail = Math.exp(-x * x) / (Math.sqrt(Math.PI) * fraction);
  return x > 0 ? tail : 2 - tail;
}
