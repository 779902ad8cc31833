import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  activate,
  add,
  attention,
  concat,
  fuse,
  geglu,
  Graph,
  inputsOf,
  plan,
  reshape,
  silu,
  upsample,
  type FusedGraph,
  type Tensor,
} from '../../sdk/graph/index.ts';
import { interpret } from '../../sdk/graph/reference.ts';
import { parseUNetConfig, traceUNet } from '../../sdk/models/index.ts';
import { TorchGenerator } from '../../sdk/random/index.ts';

const random = new TorchGenerator(1);
const values = (shapes: Iterable<{ name: string; shape: readonly number[] }>) =>
  new Map([...shapes].map(({ name, shape }) => [name, random.randn(shape)]));
const inputsOfGraph = (graph: Graph) =>
  values([...graph.inputs].map(([name, { shape }]) => ({ name, shape })));

/** A model in which everything can ride along, and some things may not. */
function tangled(): Graph {
  const graph = new Graph();
  const m = graph.root;
  const x = graph.input('x', [2, 5, 6, 8]);
  const t = graph.input('t', [2, 12]);
  const hot = silu(t);
  let h = m.conv('a', silu(m.groupNorm('n1', x, 4, 1e-5)), 16);
  h = add(h, reshape(m.linear('time', hot, 16), [2, 1, 1, 16]));
  h = add(m.conv('short', x, 16, { kernel: 1 }), m.conv('b', h, 16));
  const joined = concat(h, x);
  h = add(m.conv('c', silu(m.groupNorm('n2', joined, 4, 1e-5)), 24), m.conv('d', joined, 24));
  // Norms of joined channels that more than one reads: no loader can apply those.
  const twice = concat(h, x);
  const active = silu(m.groupNorm('n4', twice, 4, 1e-5));
  const bare = m.groupNorm('n5', twice, 2, 1e-5);
  h = add(m.conv('e', active, 8), m.conv('f', active, 8, { kernel: 1 }));
  h = add(add(h, m.conv('g', bare, 8)), m.conv('h', silu(bare), 8));
  h = m.conv('up', upsample(h, [9, 11]), 8);
  let s = reshape(m.groupNorm('n3', h, 2, 1e-6), [2, 99, 8]);
  const q = m.linear('q', s, 8);
  s = add(s, m.linear('o', attention(q, m.linear('k', s, 8), q, 2), 8));
  s = add(s, m.linear('ff2', geglu(m.linear('ff1', m.layerNorm('l', s, 1e-5), 32)), 8));
  s = activate(m.linear('last', s, 3), 'quick_gelu');
  graph.output('s', s);
  graph.output('kept', hot);
  return graph;
}

for (const norm of ['apply', 'loader'] as const)
  test(`fusion (${norm}) changes no number`, () => {
    const graph = tangled();
    const fused = fuse(graph, { norm });
    const params = values(graph.params.values());
    const inputs = inputsOfGraph(graph);
    const plain = interpret(graph, params, inputs);
    const rewritten = interpret(fused, params, inputs);
    assert.deepEqual([...rewritten.keys()], ['s', 'kept']);
    for (const [name, expected] of plain)
      rewritten
        .get(name)!
        .forEach((value, i) => assert.ok(Math.abs(value - expected[i]) < 1e-10, `${name}[${i}]`));
  });

test('fusion leaves no step for what can ride along', () => {
  const kinds = fuse(tangled(), { norm: 'loader' }).steps.map(({ op }) => op.kind);
  for (const kind of ['concat', 'upsample', 'geglu', 'add'])
    assert.ok(!kinds.includes(kind as never), `${kind} stands alone in ${kinds}`);
  // silu(t) is an output of its own, and a norm is read bare as well as active.
  assert.equal(kinds.filter((kind) => kind === 'activation').length, 2);
});

test('equal ops on equal inputs are recorded once', () => {
  const graph = new Graph();
  const x = graph.input('x', [1, 4]);
  assert.equal(silu(x), silu(x));
  assert.notEqual(silu(x), activate(x, 'gelu'));
});

const unet = () =>
  fuse(
    traceUNet(
      parseUNetConfig({
        block_out_channels: [32, 64],
        cross_attention_dim: 16,
        layers_per_block: 1,
        down_block_types: ['CrossAttnDownBlock2D', 'DownBlock2D'],
        up_block_types: ['UpBlock2D', 'CrossAttnUpBlock2D'],
      }),
      { batch: 2, height: 9, width: 7, tokens: 5 },
    ),
    { norm: 'apply' },
  );

test('no two tensors that live at once share memory', () => {
  const graph = unet();
  const laid = plan(graph, { elementBytes: 4, alignment: 64 });
  const order = [...laid.once, ...laid.perStep];
  const lives = livesOf(graph, order, laid.once.length);
  for (const a of lives)
    for (const b of lives) {
      if (a === b || a.to < b.from || b.to < a.from) continue;
      const [start, end] = [laid.offset(a.tensor), laid.offset(a.tensor) + a.tensor.size * 4];
      const other = laid.offset(b.tensor);
      assert.ok(other >= end || other + b.tensor.size * 4 <= start, `${a.from} and ${b.from}`);
      assert.ok(end <= laid.arenaBytes);
    }
  assert.ok(laid.liveBytes <= laid.arenaBytes);
  assert.ok(laid.arenaBytes < 1.25 * laid.liveBytes, 'the layout wastes more than a quarter');
});

test('what depends on the prompt alone runs once and survives every step', () => {
  const { once, perStep } = plan(unet(), { elementBytes: 4, alignment: 64 });
  const products = once.filter(({ op }) => op.kind === 'gemm');
  // Keys and values of every cross-attention: one transformer down, one in the middle, two up.
  assert.equal(products.length, 2 * 4);
  assert.ok(perStep.every(({ op }) => op.kind !== 'input' || op.rate === 'step'));
});

interface Life {
  tensor: Tensor;
  from: number;
  to: number;
}

/** Lifetimes worked out anew, from what each step reads. */
function livesOf(graph: FusedGraph, order: FusedGraph['steps'], onceCount: number): Life[] {
  const lives = new Map<number, Life>();
  order.forEach(({ op, out }, time) => {
    lives.set(out.id, { tensor: out, from: time, to: time });
    for (const t of inputsOf(op)) {
      const life = lives.get(graph.storage(t).id)!;
      const isOnce = life.from < onceCount;
      life.to = isOnce && time >= onceCount ? order.length : Math.max(life.to, time);
    }
  });
  return [...lives.values()];
}
