import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { Worker } from 'node:worker_threads';
import type { Backend, Program } from '../../sdk/backends/backend.ts';
import { createWasmBackend, type EngineThread } from '../../sdk/backends/wasm/index.ts';
import { LinearMemory } from '../../sdk/backends/wasm/memory.ts';
import { hasRelaxedSimd, withUnsharedMemory } from '../../sdk/backends/wasm/module.ts';
import { Graph } from '../../sdk/graph/index.ts';
import { nodeWasmBackend } from '../support/wasm-backend.ts';

const code = (expected: string) => (error: unknown) =>
  (error as { code?: string }).code === expected || assert.fail(String(error));

/** `layers` products of `[rows, width]`, one after the other. */
function tower(rows: number, width: number, layers: number): Graph {
  const graph = new Graph();
  let x = graph.input('x', [1, rows, width]);
  for (let i = 0; i < layers; i++) x = graph.root.linear(`l${i}`, x, width);
  graph.output('y', x);
  return graph;
}

async function ready(backend: Backend, graph: Graph): Promise<Program & { x: Float32Array }> {
  const weights = await backend.createWeights(graph.params.values(), 'f32');
  for (const { name, kind, shape } of graph.params.values()) {
    const count = shape.reduce((a, b) => a * b, 1);
    const values = new Float32Array(count).map((_, i) => Math.sin(i * 0.37 + count) / shape[0]);
    const data = new Uint8Array(values.buffer);
    await weights.set({ name, kind, shape, dtype: 'f32', data });
  }
  const program = await backend.compile(graph, weights);
  const [input] = graph.inputs.values();
  const x = new Float32Array(input.size).map((_, i) => Math.cos(i));
  program.write('x', x);
  return Object.assign(program, { x });
}

for (const threads of [1, 2])
  describe(`the CPU engine with ${threads} thread${threads > 1 ? 's' : ''}`, async () => {
    const backend = await nodeWasmBackend({ threads });

    test('an abort stops between ops, and the program stays usable', async () => {
      const program = await ready(backend, tower(512, 512, 200));
      await program.run();
      const whole = await program.read('y');
      const controller = new AbortController();
      const began = performance.now();
      const run = program.run(controller.signal);
      setTimeout(() => controller.abort(new Error('enough')), 20);
      await assert.rejects(run, code('ABORTED'));
      await assert.rejects(program.read('y'), code('INTERNAL'));
      const stopped = performance.now() - began;
      await program.run();
      assert.deepEqual(await program.read('y'), whole);
      assert.ok(stopped < performance.now() - began - stopped, `stopped after ${stopped} ms`);
      await assert.rejects(program.run(AbortSignal.abort()), code('ABORTED'));
      program.dispose();
    });

    test('programs share the arena and do not disturb each other', async () => {
      const small = await ready(backend, tower(8, 16, 3));
      await small.run();
      const before = await small.read('y');
      // Larger, so that the arena moves.
      const large = await ready(backend, tower(300, 64, 4));
      await large.run();
      const largeBefore = await large.read('y');
      assert.deepEqual(await small.read('y'), before, 'results outlive a run of another');
      // No input is written again: the small program must find its own.
      await small.run();
      assert.deepEqual(await small.read('y'), before);
      const [again] = await Promise.all([large.run().then(() => large.read('y')), small.run()]);
      assert.deepEqual(again, largeBefore);
      small.dispose();
      await large.run();
      assert.deepEqual(await large.read('y'), largeBefore);
      large.dispose();
    });

    test('dispose in mid-run ends the run', async () => {
      const program = await ready(backend, tower(512, 512, 100));
      const run = program.run();
      setTimeout(() => program.dispose(), 5);
      await assert.rejects(run, code('ABORTED'));
      await assert.rejects(program.run(), code('DISPOSED'));
    });

    test('wrong inputs and weights are refused', async () => {
      const graph = tower(4, 8, 1);
      const program = await ready(backend, graph);
      assert.throws(() => program.write('x', new Float32Array(3)), code('INTERNAL'));
      assert.throws(() => program.write('z', program.x), code('INTERNAL'));
      const weights = await backend.createWeights(graph.params.values(), 'f32');
      await assert.rejects(backend.compile(graph, weights), code('WEIGHTS_MISMATCH'));
      const bad = { name: 'l0.weight', kind: 'matrix', shape: [8, 8], dtype: 'f32' } as const;
      assert.throws(
        () => weights.set({ ...bad, data: new Uint8Array(3) }),
        code('WEIGHTS_MISMATCH'),
      );
      assert.throws(
        () => weights.set({ ...bad, shape: [8, 9], data: new Uint8Array(288) }),
        code('WEIGHTS_MISMATCH'),
      );
      await assert.rejects(
        backend.createWeights([{ name: 'w', kind: 'matrix', shape: [2 ** 17, 2 ** 15] }], 'f16'),
        code('OUT_OF_MEMORY'),
      );
      program.dispose();
    });

    test('a disposed engine runs no more', async () => {
      const program = await ready(backend, tower(4, 8, 1));
      await backend.dispose();
      await assert.rejects(program.run(), code('DISPOSED'));
    });
  });

describe('starting the CPU engine', () => {
  const plain = readFileSync(new URL('../../build/wasm/engine-simd.wasm', import.meta.url));
  const relaxed = readFileSync(new URL('../../build/wasm/engine-relaxed.wasm', import.meta.url));

  test('threads that do not come up are done without', async () => {
    const backend = await createWasmBackend({
      modules: { relaxed, plain },
      threads: 3,
      spawnThread: () => {
        const worker = new Worker('throw new Error("no thread today")', { eval: true });
        return {
          postMessage: (message) => worker.postMessage(message),
          terminate: () => worker.terminate(),
          addEventListener: (type, listener) => worker.on(type, listener),
        };
      },
    });
    assert.match(backend.description, /1 thread$/);
    const program = await ready(backend, tower(4, 8, 1));
    await program.run();
    await backend.dispose();
  });

  test('a thread that comes up too late is sent away', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    let come = (_: EngineThread): void => {};
    const spawned = new Promise<EngineThread>((resolve) => (come = resolve));
    const backend = await createWasmBackend({
      modules: { relaxed, plain },
      threads: 2,
      spawnThread: () => {
        setImmediate(() => t.mock.timers.tick(10_000));
        return spawned;
      },
    });
    assert.match(backend.description, /1 thread$/);
    const gone = new Promise<void>((resolve) =>
      come({
        postMessage: () => assert.fail('it must not start'),
        terminate: resolve,
        addEventListener: () => {},
      }),
    );
    await gone;
    await backend.dispose();
  });

  test('without a way to start threads there is one', async () => {
    const backend = await createWasmBackend({ modules: { relaxed, plain }, threads: 4 });
    assert.match(backend.description, /1 thread$/);
    await backend.dispose();
  });

  test('bad options are refused', async () => {
    for (const threads of [0, -1, 1.5, NaN])
      await assert.rejects(
        createWasmBackend({ modules: { relaxed, plain }, threads }),
        code('INVALID_OPTION'),
      );
  });

  test('the unshared variant differs in one byte, and is valid', () => {
    assert.equal(hasRelaxedSimd(), true);
    for (const bytes of [plain, relaxed]) {
      const patched = withUnsharedMemory(bytes);
      assert.equal([...patched].filter((byte, i) => byte !== bytes[i]).length, 1);
      assert.ok(WebAssembly.validate(patched));
    }
  });
});

describe('the allocator', () => {
  test('takes again what was freed, and joins neighbours', () => {
    const memory = new LinearMemory(false);
    const [a, b, c] = [memory.allocate(100), memory.allocate(200), memory.allocate(300)];
    const used = memory.used;
    memory.free(a, 100);
    memory.free(b, 200);
    assert.equal(memory.allocate(384), a);
    memory.free(a, 384);
    memory.free(c, 300);
    assert.equal(memory.used, 0);
    assert.equal(memory.allocate(used + 64), a);
  });
});
