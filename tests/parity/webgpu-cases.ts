import {
  activate,
  add,
  attention,
  concat,
  geglu,
  reshape,
  scale,
  selectRow,
  silu,
  sinusoid,
  upsample,
  type ActivationFn,
  type Graph,
} from '../../sdk/graph/index.ts';
import { randomInputs, randomNumbers } from './webgpu-ops.ts';

/** A small graph that exercises one op or one fusion. */
export interface Case {
  readonly title: string;
  build(graph: Graph): void;
  inputs?(graph: Graph): Map<string, Float32Array | Int32Array>;
  /** One of the few that also run with every tile, storage and weight format: kernels compile slowly. */
  readonly core?: boolean;
  /** Also runs with bindings far smaller than its tensors. */
  readonly windows?: boolean;
}

const functions: ActivationFn[] = ['silu', 'gelu', 'quick_gelu', 'relu', 'tanh'];

export const products: Case[] = [
  ...(
    [
      [1, 1, 1, 1],
      [2, 77, 40, 24],
      [1, 3, 5, 7],
      [3, 65, 10, 33],
      [1, 150, 130, 66],
      [2, 1, 320, 128],
      [1, 64, 512, 70],
    ] as const
  ).map(([batch, rows, k, n]) => ({
    title: `linear [${batch}, ${rows}, ${k}] → ${n}`,
    core: rows === 150,
    build: (g: Graph) => g.output('y', g.root.linear('l', g.input('x', [batch, rows, k]), n)),
  })),
  {
    title: 'linear without bias, with residual',
    build: (g) => {
      const y = g.root.linear('l', g.input('x', [2, 19, 20]), 12, { bias: false });
      g.output('y', add(g.input('r', [2, 19, 12]), y));
    },
  },
  {
    title: 'linear whose residual is its input',
    build: (g) => {
      const x = g.input('x', [2, 19, 20]);
      g.output('y', add(x, g.root.linear('l', x, 20)));
    },
  },
  {
    title: 'linear on joined channels that are no multiple of 4',
    build: (g) => {
      const joined = concat(g.input('a', [2, 6]), g.input('b', [2, 9]));
      g.output('y', g.root.linear('l', joined, 11));
    },
  },
  ...(['silu', 'relu'] as const).map((fn) => ({
    title: `linear, then ${fn}`,
    build: (g: Graph) =>
      g.output('y', activate(g.root.linear('l', g.input('x', [1, 33, 17]), 19), fn)),
  })),
  ...[8, 24, 160].map((n) => ({
    title: `linear with GEGLU, ${n} columns`,
    core: n === 24,
    build: (g: Graph) => g.output('y', geglu(g.root.linear('l', g.input('x', [2, 37, 20]), 2 * n))),
  })),
  {
    title: 'linear with GEGLU of odd width',
    build: (g) => g.output('y', geglu(g.root.linear('l', g.input('x', [2, 9, 20]), 2 * 5))),
  },
];

export const convolutions: Case[] = [
  ...(
    [
      [1, 5, 7, 4, 8, 3, 1],
      [2, 9, 6, 10, 12, 3, 2],
      [1, 8, 8, 3, 20, 5, 1],
      [2, 1, 1, 8, 4, 3, 1],
      [1, 12, 17, 70, 36, 3, 1],
      [1, 6, 6, 9, 5, 1, 2],
    ] as const
  ).map(([batch, height, width, c, n, kernel, stride]) => ({
    title: `conv ${kernel}×${kernel}/${stride} [${batch}, ${height}, ${width}, ${c}] → ${n}`,
    build: (g: Graph) =>
      g.output(
        'y',
        g.root.conv('c', g.input('x', [batch, height, width, c]), n, { kernel, stride }),
      ),
  })),
  {
    title: 'conv with padding on two sides only',
    build: (g) => {
      const padding = { top: 0, right: 1, bottom: 1, left: 0 };
      g.output('y', g.root.conv('c', g.input('x', [2, 7, 9, 12]), 10, { stride: 2, padding }));
    },
  },
  ...[
    { x: true, y: false },
    { x: true, y: true },
  ].map((wrap) => ({
    title: `conv that wraps${wrap.y ? ' both ways' : ''}`,
    build: (g: Graph) => g.output('y', g.root.conv('c', g.input('x', [2, 5, 6, 8]), 8, { wrap })),
  })),
  ...(
    [
      [8, 10],
      [7, 9],
    ] as const
  ).map((size) => ({
    title: `conv of a picture enlarged to ${size}`,
    core: size[0] === 7,
    windows: true,
    build: (g: Graph) =>
      g.output('y', g.root.conv('c', upsample(g.input('x', [2, 4, 5, 12]), size), 10)),
  })),
  {
    title: '1×1 conv of an enlarged picture',
    build: (g) =>
      g.output(
        'y',
        g.root.conv('c', upsample(g.input('x', [2, 3, 3, 8]), [6, 7]), 8, { kernel: 1 }),
      ),
  },
  ...(
    [
      [12, 8, 4],
      [10, 14, 3],
      [6, 6, 2],
    ] as const
  ).map(([a, b, groups]) => ({
    title: `residual block on joined channels ${a} and ${b}`,
    core: a === 10,
    windows: true,
    build: (g: Graph) => {
      const m = g.root;
      const x = concat(g.input('a', [2, 6, 5, a]), g.input('b', [2, 6, 5, b]));
      let h = m.conv('c1', silu(m.groupNorm('norm1', x, groups, 1e-5)), 16);
      const time = m.linear('t', silu(g.input('time', [2, 24])), 16);
      h = add(h, reshape(time, [2, 1, 1, 16]));
      h = m.conv('c2', silu(m.groupNorm('norm2', h, 4, 1e-5)), 16);
      g.output('y', add(m.conv('short', x, 16, { kernel: 1 }), h));
    },
  })),
  {
    title: 'group norm on joined channels that two products read',
    build: (g) => {
      const x = concat(g.input('a', [2, 4, 3, 10]), g.input('b', [2, 4, 3, 6]));
      const h = silu(g.root.groupNorm('norm', x, 4, 1e-5));
      g.output('y', g.root.conv('c1', h, 8));
      g.output('z', g.root.conv('c2', h, 4, { kernel: 1 }));
    },
  },
  {
    title: 'conv blocks large enough for windows',
    windows: true,
    build: (g) => {
      const m = g.root;
      const x = g.input('x', [2, 24, 20, 20]);
      let h = m.conv('c1', silu(m.groupNorm('norm1', x, 5, 1e-5)), 24);
      h = m.conv('c2', silu(m.groupNorm('norm2', h, 4, 1e-5)), 20);
      h = activate(add(x, h), 'relu');
      g.output('y', m.conv('down', h, 12, { stride: 2 }));
      g.output('z', silu(scale(m.groupNorm('norm3', h, 10, 1e-5), 0.5)));
    },
  },
  {
    title: 'conv with activation and residual block of TAESD',
    build: (g) => {
      const m = g.root;
      const x = g.input('x', [1, 7, 6, 12]);
      const h = m.conv('c2', activate(m.conv('c1', x, 12), 'relu'), 12);
      g.output('y', activate(add(h, x), 'relu'));
    },
  },
];

const attentionCase = (
  title: string,
  [batch, queries, keys, heads, width]: readonly number[],
  causal = false,
): Case => ({
  title,
  core: width === 8 || width === 5 || (causal && width === 64),
  build: (g) => {
    const q = g.input('q', [batch, queries, heads * width]);
    const k = g.input('k', [batch, keys, heads * width]);
    const v = g.input('v', [batch, keys, heads * width]);
    g.output('y', attention(q, k, v, heads, { causal }));
  },
});

export const attentions: Case[] = [
  ...[40, 64, 80, 160, 512, 4, 8, 96, 128, 256].map((width) =>
    attentionCase(`attention, heads of ${width}`, [2, 70, 77, width > 200 ? 1 : 2, width]),
  ),
  ...[1, 3, 5, 6, 10, 17].map((width) =>
    attentionCase(`attention, heads of ${width}`, [2, 21, 9, 3, width]),
  ),
  attentionCase('attention to itself over many tokens', [1, 300, 300, 2, 40]),
  attentionCase('attention with one query and one key', [2, 1, 1, 2, 8]),
  attentionCase('causal attention', [2, 77, 77, 2, 64], true),
  attentionCase('causal attention, heads of 5', [2, 77, 77, 2, 5], true),
  attentionCase('causal attention, heads of 160', [1, 40, 40, 1, 160], true),
  {
    title: 'attention with large scores',
    build: attentionCase('', [1, 40, 40, 2, 8]).build,
    inputs: (g) =>
      new Map(
        [...g.inputs].map(([name, t], i) => [
          name,
          randomNumbers(t.size, 5 + i, name === 'v' ? 1 : 4),
        ]),
      ),
  },
  {
    title: 'attention of a tensor to itself',
    build: (g) => {
      const x = g.input('x', [2, 10, 16]);
      g.output('y', attention(x, x, x, 2));
    },
  },
];

const embedding = (batch: number, tokens: number, vocabulary: number, dim: number): Case => ({
  title: `embedding of ${dim} channels`,
  build: (g) => {
    const ids = g.input('ids', [batch, tokens], { dtype: 'i32', rate: 'once' });
    g.output('y', g.root.embed({ tokens: 't', positions: 'p' }, ids, vocabulary, tokens + 2, dim));
  },
  inputs: () =>
    new Map([
      ['ids', Int32Array.from({ length: batch * tokens }, (_, i) => (i * 37) % vocabulary)],
    ]),
});

/** Small kernels compile fast: all of them run with every storage. */
export const others: Case[] = [
  ...functions.map((fn) => ({
    title: `activation ${fn}`,
    build: (g: Graph) => g.output('y', activate(g.input('x', [2, 5, 7]), fn)),
    inputs: (g: Graph) => new Map([['x', randomNumbers(g.inputs.get('x')!.size, 3, 8)]]),
  })),
  { title: 'scale', build: (g) => g.output('y', scale(g.input('x', [3, 11]), -0.37)) },
  {
    title: 'add',
    build: (g) => g.output('y', add(g.input('a', [2, 3, 5, 6]), g.input('b', [2, 3, 5, 6]))),
  },
  {
    title: 'add to itself',
    build: (g) => {
      const x = g.input('x', [2, 30, 8]);
      g.output('y', add(x, x));
    },
  },
  {
    title: 'add, spread over pixels',
    build: (g) => g.output('y', add(g.input('a', [2, 3, 5, 6]), g.input('b', [2, 1, 1, 6]))),
  },
  {
    title: 'concat',
    build: (g) => g.output('y', concat(g.input('a', [2, 5, 8]), g.input('b', [2, 5, 12]))),
  },
  {
    title: 'concat of odd widths',
    build: (g) => g.output('y', concat(g.input('a', [2, 5, 7]), g.input('b', [2, 5, 2]))),
  },
  {
    title: 'upsample',
    build: (g) => g.output('y', upsample(g.input('x', [2, 3, 5, 6]), [7, 10])),
  },
  { title: 'GEGLU alone', build: (g) => g.output('y', geglu(g.input('x', [2, 5, 24]))) },
  { title: 'GEGLU alone, odd', build: (g) => g.output('y', geglu(g.input('x', [2, 5, 14]))) },
  ...[3, 10, 64, 320].map((n) => ({
    title: `layer norm of ${n}`,
    build: (g: Graph) => g.output('y', g.root.layerNorm('norm', g.input('x', [2, 7, n]), 1e-5)),
  })),
  ...(
    [
      [2, 5, 5, 12, 4],
      [1, 9, 7, 10, 5],
      [2, 4, 4, 6, 1],
      [1, 3, 3, 320, 32],
      [1, 96, 80, 40, 4],
    ] as const
  ).map(([batch, height, width, c, groups]) => ({
    title: `group norm [${batch}, ${height}, ${width}, ${c}] of ${groups}`,
    build: (g: Graph) =>
      g.output(
        'y',
        g.root.groupNorm('norm', g.input('x', [batch, height, width, c]), groups, 1e-6),
      ),
  })),
  {
    title: 'group norm far from zero',
    build: (g) => g.output('y', g.root.groupNorm('norm', g.input('x', [1, 16, 16, 16]), 4, 1e-6)),
    inputs: (g) =>
      new Map([
        ['x', Float32Array.from(randomInputs(g).get('x')!, (v) => Math.round(v * 8) / 8 + 8)],
      ]),
  },
  {
    title: 'sinusoids',
    build: (g) => {
      g.output('y', sinusoid(g.input('t', [3]), 320, { flip: true, shift: 0 }));
      g.output('z', sinusoid(g.input('ids', [3, 6]), 10, { flip: false, shift: 1 }));
    },
    inputs: () =>
      new Map([
        ['t', Float32Array.of(999, 0.0413, 541.37)],
        ['ids', Float32Array.from({ length: 18 }, (_, i) => i * 60)],
      ]),
  },
  {
    title: 'one row of each',
    build: (g) => {
      const rows = g.input('rows', [2], { dtype: 'i32' });
      g.output('y', selectRow(g.input('x', [2, 9, 10]), rows));
    },
    inputs: (g) =>
      new Map<string, Float32Array | Int32Array>([
        ...randomInputs(g),
        ['rows', Int32Array.of(3, 8)],
      ]),
  },
  embedding(2, 7, 301, 16),
  embedding(1, 5, 50, 6),
  {
    title: 'what runs once, and its readers',
    build: (g) => {
      const context = g.input('context', [2, 7, 12], { rate: 'once' });
      const k = g.root.linear('k', context, 16, { bias: false });
      const v = g.root.linear('v', context, 16, { bias: false });
      const q = g.root.linear('q', g.input('x', [2, 9, 12]), 16);
      g.output('y', attention(q, k, v, 2));
    },
  },
];
