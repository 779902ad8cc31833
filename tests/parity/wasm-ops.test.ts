import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Backend, PackedParam, WeightDtype } from '../../sdk/backends/backend.ts';
import { interpret } from '../../sdk/graph/reference.ts';
import {
  activate,
  add,
  attention,
  concat,
  geglu,
  Graph,
  reshape,
  scale,
  selectRow,
  silu,
  sinusoid,
  upsample,
  type ActivationFn,
  type Tensor,
} from '../../sdk/graph/index.ts';
import { packTensor, unpackTensor } from '../../sdk/weights/pack.ts';
import { nodeWasmBackend } from '../support/wasm-backend.ts';

// Every op and every passenger, on odd shapes, against the float64 interpreter.

/** mulberry32, so that a failure can be repeated. */
function randomSource(seed: number): () => number {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

interface Case {
  readonly graph: Graph;
  /** Integer inputs, which cannot be random. */
  readonly fixed?: Record<string, Int32Array | Float32Array>;
  /** Spread of the random inputs; default 1. */
  readonly spread?: number;
}

function numbers({ graph, fixed = {}, spread = 1 }: Case, dtype: WeightDtype) {
  const random = randomSource(graph.ops.length * 7919 + graph.params.size);
  const normal = (n: number, by: number): Float32Array<ArrayBuffer> =>
    new Float32Array(n).map(
      () => by * Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random()),
    );
  const meant = new Map<string, Float32Array>();
  const packed: PackedParam[] = [];
  for (const param of graph.params.values()) {
    const size = param.shape.reduce((a, b) => a * b, 1);
    const inner = size / param.shape[0];
    const values = normal(size, param.kind === 'matrix' ? 1 / Math.sqrt(inner) : 1);
    const given = packTensor(param, values, dtype);
    packed.push(given);
    meant.set(param.name, unpackTensor(given));
  }
  const inputs = new Map<string, Float32Array | Int32Array>();
  for (const [name, tensor] of graph.inputs)
    inputs.set(name, fixed[name] ?? normal(tensor.size, spread));
  return { meant, packed, inputs };
}

async function compute(backend: Backend, one: Case, dtype: WeightDtype) {
  const { meant, packed, inputs } = numbers(one, dtype);
  const weights = await backend.createWeights(one.graph.params.values(), dtype);
  for (const param of packed) await weights.set(param);
  const program = await backend.compile(one.graph, weights);
  for (const [name, data] of inputs) program.write(name, data);
  await program.run();
  const results = new Map<string, Float32Array>();
  for (const name of one.graph.outputs.keys()) results.set(name, await program.read(name));
  program.dispose();
  weights.dispose();
  return { results, expected: () => interpret(one.graph, meant, inputs) };
}

/** Largest error, relative to the largest number but at least to 1. */
function errorOf(got: Float32Array, want: Float64Array): number {
  assert.equal(got.length, want.length);
  let error = 0;
  let size = 1;
  for (let i = 0; i < want.length; i++) {
    assert.ok(Number.isFinite(got[i]), `element ${i} is ${got[i]}`);
    error = Math.max(error, Math.abs(got[i] - want[i]));
    size = Math.max(size, Math.abs(want[i]));
  }
  return error / size;
}

function build(make: (g: Graph) => Tensor | Tensor[]): Graph {
  const graph = new Graph();
  const made = make(graph);
  (Array.isArray(made) ? made : [made]).forEach((t, i) => graph.output(`y${i}`, t));
  return graph;
}

const CASES: Record<string, Case> = {};
const FUNCTIONS: ActivationFn[] = ['silu', 'gelu', 'quick_gelu', 'relu', 'tanh'];

for (const [rows, inner, columns] of [
  [1, 1, 1],
  [5, 3, 7],
  [13, 37, 24],
  [1, 320, 1280],
  [77, 400, 33],
  [200, 1030, 72],
])
  CASES[`linear ${rows}×${inner}→${columns}`] = {
    graph: build((g) => g.root.linear('l', g.input('x', [1, rows, inner]), columns)),
  };
CASES['linear without bias, batch 3'] = {
  graph: build((g) => g.root.linear('l', g.input('x', [3, 7, 20]), 12, { bias: false })),
};
for (const fn of FUNCTIONS)
  CASES[`linear then ${fn}`] = {
    graph: build((g) => activate(g.root.linear('l', g.input('x', [2, 9, 20]), 13), fn)),
    spread: 3,
  };
CASES['linear with residual and activation'] = {
  graph: build((g) =>
    silu(add(g.root.linear('l', g.input('x', [2, 9, 20]), 13), g.input('r', [2, 9, 13]))),
  ),
};
CASES['linear with channel bias and residual'] = {
  graph: build((g) =>
    add(
      add(g.root.linear('l', g.input('x', [3, 7, 20]), 19), g.input('e', [3, 1, 19])),
      g.input('r', [3, 7, 19]),
    ),
  ),
};
for (const [rows, inner, half] of [
  [11, 24, 16],
  [70, 800, 40],
  [5, 9, 8],
])
  CASES[`geglu product ${rows}×${inner}→${half}`] = {
    graph: build((g) => geglu(g.root.linear('l', g.input('x', [2, rows, inner]), 2 * half))),
  };
CASES['geglu that does not fit panels'] = {
  graph: build((g) => geglu(g.root.linear('l', g.input('x', [2, 5, 9]), 22))),
};
CASES['geglu alone'] = { graph: build((g) => geglu(g.input('x', [2, 5, 14]))), spread: 3 };

for (const [kernel, stride, padding] of [
  [3, 1, undefined],
  [3, 2, undefined],
  [3, 2, { top: 0, right: 1, bottom: 1, left: 0 }],
  [1, 1, 1],
  [1, 2, 0],
  [5, 1, undefined],
  [4, 3, { top: 2, right: 0, bottom: 1, left: 3 }],
] as const)
  CASES[`conv ${kernel}×${kernel} stride ${stride} ${JSON.stringify(padding)}`] = {
    graph: build((g) =>
      g.root.conv('c', g.input('x', [2, 9, 7, 5]), 11, { kernel, stride, padding }),
    ),
  };
for (const [x, y] of [
  [true, false],
  [false, true],
  [true, true],
])
  CASES[`conv that wraps x ${x} y ${y}`] = {
    graph: build((g) => g.root.conv('c', g.input('x', [1, 6, 5, 4]), 8, { wrap: { x, y } })),
  };
for (const [height, width, channels, columns] of [
  [8, 8, 16, 24],
  [13, 10, 33, 17],
  [4, 4, 70, 40],
  [2, 3, 8, 8],
  [1, 1, 12, 9],
  [21, 30, 4, 32],
])
  CASES[`conv 3×3 ${height}×${width}×${channels}→${columns}`] = {
    graph: build((g) => g.root.conv('c', g.input('x', [2, height, width, channels]), columns)),
  };
CASES['conv 1×1'] = {
  graph: build((g) => g.root.conv('c', g.input('x', [2, 5, 6, 12]), 10, { kernel: 1 })),
};
CASES['conv of a skip concatenation'] = {
  graph: build((g) =>
    g.root.conv('c', concat(g.input('a', [2, 5, 6, 12]), g.input('b', [2, 5, 6, 7])), 10),
  ),
};
CASES['1×1 of a skip concatenation'] = {
  graph: build((g) =>
    g.root.conv('c', concat(g.input('a', [2, 5, 6, 300]), g.input('b', [2, 5, 6, 107])), 10, {
      kernel: 1,
    }),
  ),
};
for (const size of [
  [10, 14],
  [9, 13],
  [7, 7],
] as const)
  CASES[`conv of an upsampled picture to ${size}`] = {
    graph: build((g) => g.root.conv('c', upsample(g.input('x', [2, 5, 7, 6]), size), 8)),
  };
CASES['1×1 of an upsampled picture'] = {
  graph: build((g) =>
    g.root.conv('c', upsample(g.input('x', [2, 5, 7, 6]), [10, 14]), 8, { kernel: 1 }),
  ),
};
CASES['upsample alone'] = { graph: build((g) => upsample(g.input('x', [2, 5, 7, 6]), [11, 9])) };
CASES['resnet block'] = {
  graph: build((g) => {
    const x = g.input('x', [2, 9, 7, 16]);
    const e = g.input('e', [2, 1, 1, 24]);
    const h = g.root.conv('c1', silu(g.root.groupNorm('n1', x, 8, 1e-5)), 24);
    const k = g.root.conv('c2', silu(g.root.groupNorm('n2', add(h, e), 4, 1e-5)), 24);
    return add(k, g.root.conv('s', x, 24, { kernel: 1 }));
  }),
};
CASES['resnet block on a skip concatenation'] = {
  graph: build((g) => {
    const x = concat(g.input('x', [2, 9, 7, 16]), g.input('y', [2, 9, 7, 12]));
    const h = g.root.conv('c1', silu(g.root.groupNorm('n1', x, 4, 1e-6)), 24);
    return add(h, g.root.conv('s', x, 24, { kernel: 1 }));
  }),
};
CASES['group norm before a linear layer'] = {
  graph: build((g) => {
    const n = g.root.groupNorm('n', g.input('x', [2, 9, 7, 20]), 5, 1e-6);
    return g.root.linear('l', reshape(n, [2, 63, 20]), 11);
  }),
};
CASES['group norm alone'] = {
  graph: build((g) => g.root.groupNorm('n', g.input('x', [2, 19, 17, 30]), 3, 1e-5)),
};
CASES['group norm with two readers, far from zero'] = {
  graph: build((g) => {
    const x = g.input('x', [1, 16, 16, 32]);
    const n = silu(g.root.groupNorm('n', add(x, g.input('far', [1, 1, 1, 32])), 8, 1e-5));
    return [n, g.root.conv('c', n, 4)];
  }),
  fixed: { far: new Float32Array(32).fill(20) },
};
for (const n of [1, 5, 64, 323])
  CASES[`layer norm ${n}`] = {
    graph: build((g) => g.root.layerNorm('n', g.input('x', [2, 9, n]), 1e-5)),
    spread: 4,
  };

for (const [batch, n, m, heads, dim, causal] of [
  [1, 1, 1, 1, 4, false],
  [2, 9, 13, 3, 5, false],
  [1, 100, 77, 2, 40, false],
  [2, 77, 77, 4, 16, true],
  [1, 200, 200, 1, 80, true],
  [1, 64, 300, 2, 160, false],
  [1, 70, 70, 1, 512, false],
  [1, 250, 250, 1, 10, false],
  [1, 33, 50, 8, 20, false],
  ...[1, 2, 3, 6, 7, 8, 9, 11].map((dim) => [1, 10, 20, 2, dim, false] as const),
] as const)
  CASES[`attention ${batch}×${n}×${m}, ${heads} heads of ${dim}${causal ? ', causal' : ''}`] = {
    graph: build((g) =>
      attention(
        g.input('q', [batch, n, heads * dim]),
        g.input('k', [batch, m, heads * dim]),
        g.input('v', [batch, m, heads * dim]),
        heads,
        { causal },
      ),
    ),
    // Wide heads make large scores, whose own rounding would show.
    spread: dim > 80 ? 1 : 2,
  };

// Softmax moves what it takes off the scores only when they come to lie far from zero. Small whole numbers,
// so that the scores themselves are exact: a key's are `height` times its first number. Of eight queries
// that are drawn together one is long, each time another.
const longQuery = (query: number): number => ((query + (query >> 3)) % 8 === 7 ? 3 : 0.25);
for (const [name, height] of [
  ['rise', (key: number) => key / 5],
  ['fall', (key: number) => -key / 5],
  ['lie far below zero', (key: number) => (key % 7) - 100],
  ['lie far above zero', (key: number) => 100 - (key % 7)],
  ['leap up once', (key: number) => (key === 199 ? 100 : -(key % 5))],
  ['leap up at the end', (key: number) => (key === 449 ? 100 : -(key % 5))],
] as const)
  for (const causal of [false, true])
    CASES[`attention whose scores ${name}${causal ? ', causal' : ''}`] = {
      graph: build((g) => {
        const [q, k, v] = ['q', 'k', 'v'].map((input) => g.input(input, [1, 450, 16]));
        return attention(q, k, v, 1, { causal });
      }),
      fixed: {
        q: Float32Array.from({ length: 450 * 16 }, (_, i) => (i % 16 ? 0 : longQuery(i >> 4))),
        k: Float32Array.from({ length: 450 * 16 }, (_, i) => (i % 16 ? 0 : 2 * height(i >> 4))),
      },
    };

for (const fn of FUNCTIONS)
  CASES[`${fn} alone`] = { graph: build((g) => activate(g.input('x', [1, 33, 7]), fn)), spread: 6 };
CASES['add, spread add, scale, concat'] = {
  graph: build((g) => {
    const [a, b] = [g.input('a', [2, 5, 7]), g.input('b', [2, 5, 7])];
    const c = g.input('c', [2, 1, 7]);
    return [add(a, b), add(a, c), scale(a, -0.37), concat(a, b)];
  }),
};
CASES['embed and select'] = {
  graph: build((g) => {
    const ids = g.input('ids', [2, 6], { dtype: 'i32' });
    const e = g.root.embed({ tokens: 't', positions: 'p' }, ids, 50, 8, 18);
    return [e, selectRow(e, g.input('rows', [2], { dtype: 'i32' }))];
  }),
  fixed: {
    ids: Int32Array.of(0, 49, 3, 7, 7, 1, 12, 13, 14, 15, 16, 48),
    rows: Int32Array.of(5, 2),
  },
};
for (const [flip, shift] of [
  [true, 0],
  [false, 1],
] as const)
  CASES[`sinusoid flip ${flip} shift ${shift}`] = {
    graph: build((g) => sinusoid(g.input('t', [3, 2]), 32, { flip, shift })),
    fixed: { t: Float32Array.of(0, 1, 999, 500.5, 981, 4096) },
  };

const ENGINES = [
  { simd: 'relaxed', threads: 1 },
  { simd: 'relaxed', threads: 2 },
  { simd: 'plain', threads: 1 },
  { simd: 'plain', threads: 2 },
] as const;

/** float32 with sums of some thousand terms; Winograd doubles its rounding. */
const TOLERANCE = 5e-6;

describe('the CPU engine against the float64 interpreter', async () => {
  const engines = await Promise.all(
    ENGINES.map(async (options) => ({ ...options, backend: await nodeWasmBackend(options) })),
  );
  test('the threads that were asked for are there', () => {
    for (const { backend, simd, threads } of engines) {
      assert.match(backend.description, new RegExp(`${simd} SIMD, ${threads} thread`));
    }
  });
  for (const [name, one] of Object.entries(CASES)) {
    const matrices = [...one.graph.params.values()].some((p) => p.kind !== 'vector');
    for (const dtype of matrices ? (['f32', 'f16', 'i8'] as const) : (['f32'] as const))
      test(`${name}, ${dtype}`, async () => {
        let expected: Map<string, Float64Array> | undefined;
        const before = new Map<string, Map<string, Float32Array>>();
        for (const { backend, simd } of engines) {
          const run = await compute(backend, one, dtype);
          expected ??= run.expected();
          for (const [output, want] of expected) {
            const error = errorOf(run.results.get(output)!, want);
            assert.ok(error <= TOLERANCE, `${backend.description}: ${output} is off by ${error}`);
          }
          // The number of threads changes nothing at all.
          const other = before.get(simd);
          if (other) for (const [o, data] of run.results) assert.deepEqual(data, other.get(o));
          before.set(simd, run.results);
        }
      });
  }
  test('engines go away', async () => {
    for (const { backend } of engines) await backend.dispose();
  });
});
