import type { Backend, Program, WeightDtype } from '../../sdk/backends/backend.ts';
import { attention, Graph, silu, type Tensor } from '../../sdk/graph/index.ts';

/** One product, convolution or attention of Stable Diffusion 1.5 at 512². */
export interface Shape {
  readonly name: string;
  readonly flops: number;
  readonly graph: Graph;
}

function shape(name: string, flops: number, make: (g: Graph) => Tensor): Shape {
  const graph = new Graph();
  graph.output('y', make(graph));
  return { name, flops, graph };
}

export function linear(rows: number, inner: number, columns: number): Shape {
  return shape(`linear ${rows}×${inner}→${columns}`, 2 * rows * inner * columns, (g) =>
    g.root.linear('l', g.input('x', [1, rows, inner]), columns),
  );
}

export function conv(side: number, channels: number, columns: number, normed = false): Shape {
  return shape(
    `conv ${side}²×${channels}→${columns}${normed ? ', normed' : ''}`,
    2 * side * side * 9 * channels * columns,
    (g) => {
      const x = g.input('x', [1, side, side, channels]);
      return g.root.conv('c', normed ? silu(g.root.groupNorm('n', x, 32, 1e-5)) : x, columns);
    },
  );
}

export function selfAttention(tokens: number, keys: number, heads: number, dim: number): Shape {
  return shape(
    `attention ${tokens}×${keys}, ${heads}×${dim}`,
    4 * tokens * keys * heads * dim,
    (g) =>
      attention(
        g.input('q', [1, tokens, heads * dim]),
        g.input('k', [1, keys, heads * dim]),
        g.input('v', [1, keys, heads * dim]),
        heads,
      ),
  );
}

/** The four large products by which the engine is judged, then the rest. */
export const LARGE = [
  linear(4096, 320, 2560),
  linear(1024, 640, 5120),
  linear(4096, 1280, 320),
  linear(256, 1280, 10240),
];

export const SHAPES = [
  ...LARGE,
  linear(4096, 320, 320),
  linear(1024, 640, 640),
  linear(1024, 2560, 640),
  linear(256, 1280, 1280),
  linear(256, 5120, 1280),
  linear(64, 1280, 1280),
  linear(64, 1280, 10240),
  conv(64, 320, 320),
  conv(64, 320, 320, true),
  conv(64, 960, 320),
  conv(32, 640, 640),
  conv(32, 1920, 640),
  conv(16, 1280, 1280),
  conv(16, 2560, 1280),
  conv(8, 1280, 1280),
  conv(8, 2560, 1280),
  selfAttention(4096, 4096, 8, 40),
  selfAttention(1024, 1024, 8, 80),
  selfAttention(256, 256, 8, 160),
  selfAttention(4096, 77, 8, 40),
  selfAttention(1024, 77, 8, 80),
  selfAttention(4096, 4096, 1, 512),
  conv(128, 512, 512, true),
  conv(256, 256, 256, true),
];

/** A shape made ready with random numbers; each call of the result is one timed run, in ms. */
export async function prepare(
  backend: Backend,
  { graph }: Shape,
  dtype: WeightDtype,
): Promise<{ readonly program: Program; run(): Promise<number>; dispose(): void }> {
  const weights = await backend.createWeights(graph.params.values(), dtype);
  for (const { name, kind, shape: dims } of graph.params.values()) {
    if (kind === 'vector') {
      const data = new Uint8Array(randomFloats(dims[0]).buffer);
      await weights.set({ name, kind, shape: dims, dtype: 'f32', data });
      continue;
    }
    const [n, ...rest] = dims;
    const columns = Math.ceil(n / 8) * 8;
    const count = rest.reduce((a, b) => a * b, columns);
    // Half-precision and int8 numbers of about the right size, drawn as bits.
    const data =
      dtype === 'f32'
        ? new Uint8Array(randomFloats(count).buffer)
        : dtype === 'f16'
          ? new Uint8Array(new Uint16Array(count).map(() => 0x2000 + Math.random() * 0x800).buffer)
          : new Uint8Array(count).map(() => Math.random() * 256);
    const scales =
      dtype === 'i8'
        ? new Uint16Array(((count / columns + 63) >> 6) * columns).fill(0x2c00)
        : undefined;
    await weights.set({ name, kind, shape: dims, dtype, data, scales });
  }
  const program = await backend.compile(graph, weights);
  for (const [name, t] of graph.inputs) program.write(name, randomFloats(t.size));
  return {
    program,
    run: async () => {
      const start = performance.now();
      await program.run();
      return performance.now() - start;
    },
    dispose: () => {
      program.dispose();
      weights.dispose();
    },
  };
}

function randomFloats(count: number): Float32Array<ArrayBuffer> {
  return new Float32Array(count).map(() => Math.random() - 0.5);
}
