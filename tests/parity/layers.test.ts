import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { Graph, sinusoid, sizeOf, upsample } from '../../sdk/graph/index.ts';
import type { Scope, Tensor } from '../../sdk/graph/index.ts';
import { resnetBlock, spatialTransformer } from '../../sdk/models/blocks.ts';
import { toNchw, toNhwc } from '../../sdk/pipeline/layout.ts';
import { TorchGenerator } from '../../sdk/random/index.ts';
import { createTestBackend } from './backends.ts';
import { loadTinyWeights } from './tiny-weights.ts';

// The slices that diffusers' own tests/models/test_layers_utils.py expects, with torch's default
// initialisation replayed from seed 0. Its variants that no Stable Diffusion has are left out:
// pooling instead of a convolution, blocks that resample, a shortcut between equal channels, and
// transformers without a prompt.

const backend = await createTestBackend('wasm');
after(() => backend.dispose());

const TOLERANCE = 1e-3;
type Shape = readonly [number, number, number, number];

interface Layer {
  /** NCHW, drawn first. */
  readonly sample: Shape;
  /** Drawn next. */
  readonly embedding?: readonly number[];
  /** Layers in the order in which the module makes them: torch draws weight, then bias. */
  readonly layers: readonly string[];
  /** Drawn last. */
  readonly context?: readonly number[];
  build(m: Scope, x: Tensor, more?: Tensor): Tensor;
  readonly expected: readonly number[];
}

const attentionLayers = (name: string): string[] =>
  ['to_q', 'to_k', 'to_v', 'to_out.0'].map((layer) => `transformer_blocks.0.${name}.${layer}`);

const LAYERS: Record<string, Layer> = {
  'nearest upsampling': {
    sample: [1, 32, 32, 32],
    layers: [],
    build: (_, x) => upsample(x, [64, 64]),
    expected: [-0.2173, -1.2079, -1.2079, 0.2952, 1.1254, 1.1254, 0.2952, 1.1254, 1.1254],
  },
  'upsampling and a convolution': {
    sample: [1, 32, 32, 32],
    layers: ['conv'],
    build: (m, x) => m.conv('conv', upsample(x, [64, 64]), 32),
    expected: [0.7145, 1.3773, 0.3492, 0.8448, 1.0839, -0.3341, 0.5956, 0.125, -0.4841],
  },
  'upsampling and a convolution to more channels': {
    sample: [1, 32, 32, 32],
    layers: ['conv'],
    build: (m, x) => m.conv('conv', upsample(x, [64, 64]), 64),
    expected: [0.2703, 0.1656, -0.2538, -0.0553, -0.2984, 0.1044, 0.1155, 0.2579, 0.7755],
  },
  'a downsampling convolution': {
    sample: [1, 32, 64, 64],
    layers: ['conv'],
    build: (m, x) => m.conv('conv', x, 32, { stride: 2, padding: 1 }),
    expected: [0.9267, 0.5878, 0.3337, 1.2321, -0.1191, -0.3984, -0.7532, -0.0715, -0.3913],
  },
  'a downsampling convolution to fewer channels': {
    sample: [1, 32, 64, 64],
    layers: ['conv'],
    build: (m, x) => m.conv('conv', x, 16, { stride: 2, padding: 1 }),
    expected: [-0.6586, 0.5985, 0.0721, 0.1256, -0.1492, 0.4436, -0.2544, 0.5021, 1.1522],
  },
  'a residual block': {
    sample: [1, 32, 64, 64],
    embedding: [1, 128],
    layers: ['conv1', 'time_emb_proj', 'conv2'],
    build: (m, x, embedding) => resnetBlock(m, x, 32, { groups: 32, eps: 1e-6 }, embedding),
    expected: [-1.901, -0.2974, -0.8245, -1.3533, 0.8742, -0.9645, -2.0584, 1.3387, -0.4746],
  },
  'a spatial transformer': {
    sample: [1, 64, 64, 64],
    layers: [
      'proj_in',
      ...attentionLayers('attn1'),
      ...attentionLayers('attn2'),
      ...['transformer_blocks.0.ff.net.0.proj', 'transformer_blocks.0.ff.net.2', 'proj_out'],
    ],
    context: [1, 4, 64],
    build(m, x, context) {
      assert.ok(context);
      const style = { groups: 32, heads: 2, layers: 1, linearProjection: false };
      return spatialTransformer(m, x, context, style);
    },
    expected: [0.0143, -0.6909, -2.1547, -1.8893, 1.4097, 0.1359, -0.2521, -1.3359, 0.2598],
  },
};

for (const [name, layer] of Object.entries(LAYERS))
  test(`diffusers' own slice: ${name}`, async () => {
    const [batch, channels, height, width] = layer.sample;
    const moreShape = layer.embedding ?? layer.context;
    const graph = new Graph();
    const x = graph.input('x', [batch, height, width, channels]);
    const more = moreShape && graph.input('more', moreShape);
    const y = layer.build(graph.root, x, more);
    graph.output('y', y);

    const generator = new TorchGenerator(0);
    const sample = generator.randn(layer.sample);
    const embedding = layer.embedding && generator.randn(layer.embedding);
    const values = new Map<string, Float32Array>();
    for (const made of layer.layers) {
      const weight = graph.params.get(`${made}.weight`);
      assert.ok(weight, `${made} is not a layer of ours`);
      // kaiming_uniform_(a = √5), and the same bound for the bias.
      const bound = 1 / Math.sqrt(sizeOf(weight.shape.slice(1)));
      for (const param of [weight, graph.params.get(`${made}.bias`)])
        if (param) values.set(param.name, generator.uniform(param.shape, -bound, bound));
    }
    for (const { name: norm, shape } of graph.params.values())
      if (!values.has(norm)) {
        assert.match(norm, /norm\d?\.(weight|bias)$/);
        values.set(norm, new Float32Array(sizeOf(shape)).fill(norm.endsWith('weight') ? 1 : 0));
      }
    const second = embedding ?? (layer.context && generator.randn(layer.context));

    const weights = await loadTinyWeights(backend, graph.params, values);
    const program = await backend.compile(graph, weights);
    program.write('x', toNhwc(sample, layer.sample));
    if (second) program.write('more', second);
    await program.run();
    const [, outHeight, outWidth, outChannels] = y.shape;
    const out = toNchw(await program.read('y'), [1, outChannels, outHeight, outWidth]);
    program.dispose();
    weights.dispose();

    const last = (outChannels - 1) * outHeight * outWidth;
    const slice = [3, 2, 1].flatMap((row) =>
      [3, 2, 1].map((column) => out[last + (outHeight - row) * outWidth + outWidth - column]),
    );
    slice.forEach((value, i) => assert.ok(Math.abs(value - layer.expected[i]) <= TOLERANCE));
  });

const SINUSOIDS = [
  {
    options: { flip: false, shift: 1 },
    expected: [0.9646, 0.9804, 0.9892, 0.9615, 0.9787, 0.9882, 0.9582, 0.9769, 0.9872],
  },
  {
    options: { flip: true, shift: 0 },
    expected: [0.3019, 0.228, 0.1716, 0.3146, 0.2377, 0.179, 0.3272, 0.2474, 0.1864],
  },
];
for (const { options, expected } of SINUSOIDS)
  test(`diffusers' own slice: timestep embedding ${JSON.stringify(options)}`, async () => {
    const graph = new Graph();
    graph.output('y', sinusoid(graph.input('t', [128]), 64, options));
    const weights = await backend.createWeights([], 'f32');
    const program = await backend.compile(graph, weights);
    program.write(
      't',
      Float32Array.from({ length: 128 }, (_, i) => i),
    );
    await program.run();
    const out = await program.read('y');
    program.dispose();
    weights.dispose();
    const slice = [23, 24, 25].flatMap((row) =>
      [47, 48, 49].map((column) => out[row * 64 + column]),
    );
    slice.forEach((value, i) => assert.ok(Math.abs(value - expected[i]) <= TOLERANCE));
  });
