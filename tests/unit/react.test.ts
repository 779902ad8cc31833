import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import { createElement, StrictMode, type ReactElement } from 'react';
import { useStableDiffusion, type UseStableDiffusion } from '../../sdk/react/index.ts';
import { FakeWorker, type Script } from './fake-worker.ts';

interface Root {
  update(element: ReactElement): void;
  unmount(): void;
}
interface Renderer {
  create(element: ReactElement): Root;
  act<T>(work: () => Promise<T>): Promise<T>;
}
Object.assign(globalThis, {
  IS_REACT_ACT_ENVIRONMENT: true,
  IS_REACT_NATIVE_TEST_ENVIRONMENT: true,
});
const { create, act } = createRequire(import.meta.url)('react-test-renderer') as Renderer;

const later = (ms = 5) => new Promise<void>((done) => setTimeout(done, ms));

/** A component with the hook, mounted in strict mode; `now` is what it last returned. */
async function mount(script: Script = {}) {
  const workers: FakeWorker[] = [];
  const seen: UseStableDiffusion[] = [];
  const options = {
    worker: () => {
      workers.push(new FakeWorker(script));
      return workers.at(-1) as unknown as Worker;
    },
  };
  function Component({ source }: { source: string }) {
    seen.push(useStableDiffusion(source, options));
    return null;
  }
  const page = (source: string) =>
    createElement(StrictMode, null, createElement(Component, { source }));
  let root!: Root;
  await act(async () => {
    root = create(page('https://models.example/one/'));
  });
  return { workers, root, page, now: () => seen.at(-1)! };
}

test('nothing is loaded before it is asked for, and then once', async () => {
  const { workers, now, root } = await mount();
  assert.equal(workers.length, 0);
  assert.equal(now().status, 'idle');
  const [a, b] = await act(() =>
    Promise.all([
      now().generate({ prompt: 'a', seed: 3 }),
      now().generate({ prompt: 'b', seed: 4 }),
    ]),
  );
  assert.deepEqual([a.seed, b.seed], [3, 4]);
  assert.equal(workers.length, 1);
  assert.equal(now().status, 'ready');
  await act(async () => root.unmount());
  await later();
  assert.equal(workers[0].terminated, true);
});

test('another source disposes of the model; the functions keep their identity otherwise', async () => {
  const { workers, now, root, page } = await mount();
  await act(() => now().load());
  const { load, generate } = now();
  await act(async () => root.update(page('https://models.example/one/')));
  assert.equal(now().load, load);
  assert.equal(now().generate, generate);
  await act(async () => root.update(page('https://models.example/two/')));
  await act(() => later());
  assert.deepEqual([now().status, workers[0].terminated], ['idle', true]);
  await act(() => now().load());
  assert.deepEqual([now().status, workers.length], ['ready', 2]);
  await act(async () => root.unmount());
});

test('a load that fails is told of and can be tried again', async () => {
  let fail = true;
  const { now, root } = await mount({
    load: async () => {
      if (fail) throw new Error('no such model');
    },
  });
  await act(() => assert.rejects(now().load()));
  assert.equal(now().status, 'failed');
  assert.ok(now().error instanceof Error);
  fail = false;
  await act(() => now().load());
  assert.equal(now().status, 'ready');
  await act(async () => root.unmount());
});

test('leaving stops a load that is under way', async () => {
  let aborted = false;
  const { workers, now, root } = await mount({
    load: (_, { signal }) =>
      new Promise((_done, stop) =>
        signal.addEventListener('abort', () => {
          aborted = true;
          stop(signal.reason as Error);
        }),
      ),
  });
  let outcome: Promise<unknown>;
  await act(async () => {
    outcome = now()
      .load()
      .catch((error: { code: string }) => error.code);
    await later();
  });
  assert.equal(now().status, 'loading');
  await act(async () => root.unmount());
  assert.equal(await outcome!, 'ABORTED');
  await later(20);
  assert.ok(aborted || workers[0].terminated);
});
