import assert from 'node:assert/strict';
import { test } from 'node:test';
import { concat, Graph, silu, upsample, type Tensor } from '../../sdk/graph/index.ts';
import { interpret } from '../../sdk/graph/reference.ts';
import { packTensor } from '../../sdk/weights/pack.ts';
import { nodeWasmBackend } from '../support/wasm-backend.ts';

// Pictures too large to be transformed at once, which are convolved band by band.

const MODELS: Record<string, (g: Graph) => Tensor> = {
  'normed, two pictures': (g) => {
    const x = g.input('x', [2, 83, 171, 96]);
    return g.root.conv('c', silu(g.root.groupNorm('n', x, 4, 1e-5)), 2);
  },
  'a skip concatenation': (g) =>
    g.root.conv('c', concat(g.input('x', [1, 120, 131, 160]), g.input('s', [1, 120, 131, 32])), 2),
  upsampled: (g) => g.root.conv('c', upsample(g.input('x', [1, 75, 81, 128]), [150, 162]), 2),
  'normed, with rows that wrap': (g) => {
    const x = g.input('x', [1, 150, 162, 128]);
    return g.root.conv('c', g.root.groupNorm('n', x, 4, 1e-5), 1, { wrap: { x: true, y: true } });
  },
};

for (const [name, make] of Object.entries(MODELS))
  test(`Winograd in bands: ${name}`, async () => {
    const graph = new Graph();
    graph.output('y', make(graph));
    const values = new Map<string, Float32Array<ArrayBuffer>>();
    const backend = await nodeWasmBackend({ threads: 2 });
    const weights = await backend.createWeights(graph.params.values(), 'f32');
    let seed = 1;
    const random = (): number => ((seed = (seed * 48271) % 2147483647) / 2147483647 - 0.5) * 2;
    for (const param of graph.params.values()) {
      const count = param.shape.reduce((a, b) => a * b, 1);
      const data = new Float32Array(count).map(random);
      values.set(param.name, data);
      await weights.set(packTensor(param, data, 'f32'));
    }
    const program = await backend.compile(graph, weights);
    assert.ok(program.report.perStepSteps >= 4, 'the picture is cut into bands');
    const inputs = new Map<string, Float32Array>();
    for (const [input, tensor] of graph.inputs) {
      const data = new Float32Array(tensor.size).map(random);
      inputs.set(input, data);
      program.write(input, data);
    }
    await program.run();
    const got = await program.read('y');
    const want = interpret(graph, values, inputs).get('y')!;
    let [error, size] = [0, 0];
    want.forEach((v, i) => {
      error += (got[i] - v) ** 2;
      size += v * v;
    });
    const rms = Math.sqrt(error / size);
    assert.ok(rms <= 3e-6, `relative RMS error ${rms}`);
    await backend.dispose();
  });
