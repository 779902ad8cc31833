import { fuse, plan, type Graph } from '../../graph/index.ts';
import { interpret } from '../../graph/reference.ts';
import {
  PANEL,
  SCALE_BLOCK,
  type Backend,
  type PackedParam,
  type Program,
  type Weights,
} from '../backend.ts';

/**
 * The oracle as an engine: float64, slow, for tests only. Nothing that ships may import it.
 */
export function createReferenceBackend(): Backend {
  return {
    name: 'reference',
    description: 'float64 interpreter',
    createWeights: async () => new ReferenceWeights(),
    compile: async (graph, weights) => compile(graph, weights as ReferenceWeights),
    dispose: async () => {},
  };
}

class ReferenceWeights implements Weights {
  readonly values = new Map<string, Float64Array>();
  bytes = 0;

  async set(param: PackedParam): Promise<void> {
    this.values.set(param.name, unpack(param));
    this.bytes += param.data.byteLength;
  }

  dispose(): void {
    this.values.clear();
  }
}

function compile(graph: Graph, weights: ReferenceWeights): Program {
  const fused = fuse(graph, { norm: 'loader' });
  const { once, perStep, arenaBytes, liveBytes } = plan(fused, { elementBytes: 8, alignment: 8 });
  const inputs = new Map<string, ArrayLike<number>>();
  let outputs = new Map<string, Float64Array>();
  return {
    report: {
      arenaBytes,
      liveBytes,
      weightBytes: weights.bytes,
      onceSteps: once.length,
      perStepSteps: perStep.length,
    },
    write: (name, data) => void inputs.set(name, data.slice()),
    run: async (signal) => {
      signal?.throwIfAborted();
      outputs = interpret(fused, weights.values, inputs);
    },
    read: async (name) => Float32Array.from(outputs.get(name)!),
    dispose: () => inputs.clear(),
  };
}

/** From panels back to torch's layout. */
function unpack({ kind, shape, dtype, data, scales }: PackedParam): Float64Array {
  const bytes = data.slice().buffer;
  const numbers =
    dtype === 'f32'
      ? Float64Array.from(new Float32Array(bytes))
      : dtype === 'f16'
        ? Float64Array.from(new Uint16Array(bytes), halfToNumber)
        : Float64Array.from(new Int8Array(bytes));
  if (kind !== 'matrix') return numbers;
  const [columns, channels, kh = 1, kw = 1] = shape;
  const inner = channels * kh * kw;
  const out = new Float64Array(columns * inner);
  for (let n = 0; n < columns; n++)
    for (let c = 0; c < channels; c++)
      for (let tap = 0; tap < kh * kw; tap++) {
        const k = tap * channels + c;
        const panel = Math.floor(n / PANEL);
        const block = panel * Math.ceil(inner / SCALE_BLOCK) + Math.floor(k / SCALE_BLOCK);
        const scale = scales ? halfToNumber(scales[block * PANEL + (n % PANEL)]) / 128 : 1;
        const packed = (panel * inner + k) * PANEL + (n % PANEL);
        out[n * inner + c * kh * kw + tap] = numbers[packed] * scale;
      }
  return out;
}

function halfToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}
