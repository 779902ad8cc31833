import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Weights } from '../../sdk/backends/backend.ts';
import { createWebGPUBackend, type WebGPUBackend } from '../../sdk/backends/webgpu/index.ts';
import type { WebGPUProgram } from '../../sdk/backends/webgpu/program.ts';
import { Stopwatch } from '../../sdk/backends/webgpu/stopwatch.ts';
import { guess, type Product } from '../../sdk/backends/webgpu/tiles.ts';
import { keyOf, Tuner, type TuningStore } from '../../sdk/backends/webgpu/tuner.ts';
import { isSDError } from '../../sdk/errors.ts';
import { add, Graph, silu } from '../../sdk/graph/index.ts';
import { interpret } from '../../sdk/graph/reference.ts';
import { countMade, openGPU, readKernels } from './webgpu-device.ts';
import { pack, randomInputs, randomParams, relativeError } from './webgpu-ops.ts';

const gpu = await openGPU();
const kernels = readKernels();

function open(options = {}): Promise<WebGPUBackend> {
  return createWebGPUBackend({ gpu, kernels, storage: 'f32', ...options });
}

/** Two layers, of which one runs once. */
function smallGraph(): Graph {
  const g = new Graph();
  const context = g.root.linear('context', g.input('c', [2, 12], { rate: 'once' }), 16);
  const x = g.root.linear('in', g.input('x', [2, 12]), 16);
  g.output('y', g.root.linear('out', silu(add(x, context)), 8));
  return g;
}

async function load(backend: WebGPUBackend, graph: Graph): Promise<Weights> {
  const weights = await backend.createWeights(graph.params.values(), 'f32');
  for (const [name, values] of randomParams(graph))
    await weights.set(pack(graph.params.get(name)!, values, 'f32'));
  return weights;
}

describe('a program on the GPU', { skip: !gpu }, () => {
  test('makes nothing after it was compiled, and frees all of it', async () => {
    const backend = await open();
    const { made, live } = countMade(backend.device.gpu);
    const graph = smallGraph();
    for (let generation = 0; generation < 20; generation++) {
      const weights = await load(backend, graph);
      const program = await backend.compile(graph, weights);
      const before = { ...made };
      for (let step = 0; step < 3; step++) {
        for (const [name, data] of randomInputs(graph, step)) program.write(name, data);
        await program.run();
        await program.read('y');
      }
      assert.deepEqual(made, before);
      program.dispose();
      weights.dispose();
      assert.equal(live(), 0);
    }
    // Kernels are compiled for the first generation and kept.
    assert.equal(made.createComputePipelineAsync, backend.pipelines.size);
    await backend.dispose();
  });

  test('says how many of its pipelines are built', async () => {
    const backend = await open();
    const graph = smallGraph();
    const weights = await load(backend, graph);
    const told: (readonly [number, number])[] = [];
    backend.onCompile = (done, total) => told.push([done, total]);
    await backend.compile(graph, weights);
    const total = backend.pipelines.size;
    assert.ok(total > 1);
    assert.deepEqual(
      told,
      Array.from({ length: total + 1 }, (_, done) => [done, total]),
    );
    await backend.dispose();
  });

  test('runs the part that depends on the prompt once per prompt', async () => {
    const backend = await open();
    const graph = smallGraph();
    const weights = await load(backend, graph);
    const program = await backend.compile(graph, weights);
    assert.ok(program.report.onceSteps > 0 && program.report.perStepSteps > 0);
    const params = randomParams(graph);
    const check = async (inputs: Map<string, Float32Array>): Promise<void> => {
      const right = interpret(graph, params, inputs).get('y')!;
      assert.ok(relativeError(await program.read('y'), right) < 1e-5);
    };
    const inputs = randomInputs(graph);
    for (const seed of [3, 4, 5]) {
      inputs.set('x', randomInputs(graph, seed).get('x')!);
      if (seed === 5) inputs.set('c', randomInputs(graph, seed).get('c')!);
      program.write('x', inputs.get('x')!);
      if (seed !== 4) program.write('c', inputs.get('c')!);
      await program.run();
      await check(inputs);
    }
    await backend.dispose();
  });

  test('stops between submits and can be used again', async () => {
    const backend = await open();
    const graph = smallGraph();
    const program = await backend.compile(graph, await load(backend, graph));
    const inputs = randomInputs(graph);
    for (const [name, data] of inputs) program.write(name, data);
    await assert.rejects(
      program.run(AbortSignal.abort()),
      (error) => isSDError(error) && error.code === 'ABORTED',
    );
    await program.run();
    const right = interpret(graph, randomParams(graph), inputs).get('y')!;
    assert.ok(relativeError(await program.read('y'), right) < 1e-5);
    await backend.dispose();
  });

  test('says that the device was lost, and another device goes on', async () => {
    const lost = (error: unknown): boolean => isSDError(error) && error.code === 'DEVICE_LOST';
    const backend = await open();
    const graph = smallGraph();
    const weights = await load(backend, graph);
    const program = await backend.compile(graph, weights);
    const inputs = randomInputs(graph);
    for (const [name, data] of inputs) program.write(name, data);
    await program.run();
    const before = await program.read('y');
    backend.device.gpu.destroy();
    await backend.device.gpu.lost;
    await assert.rejects(program.run(), lost);
    await assert.rejects(program.read('y'), lost);
    assert.throws(() => program.write('x', inputs.get('x')!), lost);
    await assert.rejects(backend.compile(graph, weights), lost);

    const other = await open();
    const again = await other.compile(graph, await load(other, graph));
    for (const [name, data] of inputs) again.write(name, data);
    await again.run();
    assert.deepEqual(await again.read('y'), before);
    await other.dispose();
  });

  test('refuses weights and inputs that do not fit', async () => {
    const backend = await open();
    const graph = smallGraph();
    const weights = await load(backend, graph);
    const program = await backend.compile(graph, weights);
    const internal = { code: 'INTERNAL' };
    assert.throws(() => program.write('x', new Float32Array(3)), internal);
    assert.throws(() => program.write('nothing', new Float32Array(3)), internal);
    await assert.rejects(program.read('nothing'), internal);
    const param = graph.params.get('in.weight')!;
    const f16 = pack(param, randomParams(graph).get('in.weight')!, 'f16');
    await assert.rejects(weights.set(f16), internal);
    await backend.dispose();
  });

  test('says what is too large before it allocates', async () => {
    const backend = await open({ maxBuffer: 4096 });
    const g = new Graph();
    g.output('y', silu(g.input('x', [1, 64, 64, 4])));
    const weights = await backend.createWeights([], 'f32');
    await assert.rejects(backend.compile(g, weights), { code: 'OUT_OF_MEMORY' });
    await backend.dispose();
  });
});

describe('the tuner', { skip: !gpu }, () => {
  const product: Product = { rows: 64, words: 8, channels: 32, taps: 1, geglu: false };

  function memory(): TuningStore & { values: Map<string, unknown>; writes: number } {
    const values = new Map<string, unknown>();
    return {
      values,
      writes: 0,
      get: async (key) => values.get(key),
      async set(key, value) {
        this.writes++;
        values.set(key, structuredClone(value));
      },
    };
  }

  test('a pass is timed by the GPU where it has timestamps, else by its queue; nothing leaks', async () => {
    for (const hasTimestamps of [true, false]) {
      const backend = await open();
      const { device } = backend;
      // lavapipe has them; without the feature the same device stands for one that has not.
      assert.ok(device.gpu.features.has('timestamp-query'));
      if (!hasTimestamps)
        Object.defineProperty(device.gpu, 'features', { value: new Set<string>() });
      const { live } = countMade(device.gpu);
      const graph = new Graph();
      const x = graph.input('x', [1, 256, 256]);
      graph.output('y', graph.root.linear('l', x, 256));
      const weights = await load(backend, graph);
      const program = (await backend.compile(graph, weights)) as WebGPUProgram;
      const stopwatch = new Stopwatch(device);
      assert.equal(stopwatch.hasTimestamps, hasTimestamps);
      const time = async (times: number): Promise<number> => {
        const all: number[] = [];
        for (let i = 0; i < 5; i++)
          all.push(
            await stopwatch.time((pass) => {
              for (let j = 0; j < times; j++) program.encode(pass);
            }),
          );
        return Math.min(...all);
      };
      const [one, ten] = [await time(1), await time(10)];
      console.log(`${hasTimestamps ? 'timestamps' : 'queue'}: ${one} ms, ten times ${ten} ms`);
      assert.ok(one > 0 && ten > 3 * one, `${one} ms once, ${ten} ms ten times`);
      assert.equal(stopwatch.hasTimestamps, hasTimestamps, 'they are believed');
      stopwatch.dispose();
      program.dispose();
      weights.dispose();
      assert.equal(live(), 0);
      await backend.dispose();
    }
  });

  test('clocks that run backwards, stand still or are of another kind are not believed', async () => {
    const backend = await open();
    const { gpu: device } = backend.device;
    const original = device.createCommandEncoder.bind(device);
    for (const stamps of [
      [5n, 3n],
      [0n, 0n],
      [1n, 10n ** 18n],
    ]) {
      const stopwatch = new Stopwatch(backend.device);
      const wrong = device.createBuffer({ size: 16, usage: GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST }); // prettier-ignore
      device.queue.writeBuffer(wrong, 0, new BigInt64Array(stamps));
      device.createCommandEncoder = (descriptor) => {
        const encoder = original(descriptor);
        const copy = encoder.copyBufferToBuffer.bind(encoder);
        const lie = (...[, , to]: unknown[]): void => copy(wrong, 0, to as GPUBuffer, 0, 16);
        encoder.copyBufferToBuffer = lie as typeof copy;
        return encoder;
      };
      const ms = await stopwatch.time(() => {});
      assert.ok(ms >= 0 && ms < 5000, `${ms} ms`);
      assert.equal(stopwatch.hasTimestamps, false);
      device.createCommandEncoder = original;
      assert.ok((await stopwatch.time(() => {})) >= 0, 'the queue is asked from then on');
      stopwatch.dispose();
      wrong.destroy();
    }
    await backend.dispose();
  });

  test('measures, keeps what it found, and does not measure again', async () => {
    const backend = await open();
    const store = memory();
    const { device, pipelines } = backend;
    const options = { store, leastFlops: 0 };
    const tuner = new Tuner(device, pipelines, 'a', options);
    await tuner.prepare([product]);
    assert.equal(store.writes, 1);
    assert.ok(tuner.speed! > 0);
    const again = new Tuner(device, pipelines, 'a', options);
    await again.prepare([product, { ...product, rows: 50 }]);
    assert.deepEqual(again.choose(product), tuner.choose(product));
    assert.equal(store.writes, 1);
    await backend.dispose();
  });

  test('follows what it finds kept, unless that is damaged or of other kernels', async () => {
    const backend = await open();
    const store = memory();
    const { device, pipelines } = backend;
    const chosen = { tile: '128x64', splits: 1 };
    const key = `stable-diffusion-web/tuning/${device.description}/`;
    store.values.set(`${key}a`, { speed: 1, choices: { [keyOf(product)]: chosen } });
    store.values.set(`${key}b`, { speed: 1, choices: { [keyOf(product)]: { tile: '9x9' } } });
    for (const [build, expected] of [
      ['a', chosen],
      ['b', guess(product)],
      ['c', guess(product)],
    ] as const) {
      // Too little work to be measured, so that what is kept decides alone.
      const tuner = new Tuner(device, pipelines, build, { store, leastFlops: Infinity });
      await tuner.prepare([product]);
      assert.deepEqual(tuner.choose(product), expected);
    }
    await backend.dispose();
  });
});
