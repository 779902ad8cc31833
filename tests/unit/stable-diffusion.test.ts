import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SDError, isSDError, type SDErrorCode } from '../../sdk/errors.ts';
import type { LoadOptions } from '../../sdk/load-options.ts';
import { StableDiffusion } from '../../sdk/stable-diffusion.ts';
import type { GenerateOptions } from '../../sdk/options.ts';
import type { Progress } from '../../sdk/progress.ts';
import { FakeWorker, type Script } from './fake-worker.ts';

const MODEL = 'https://models.example/landscapes/';

/** A handle on fake workers, and those workers. */
async function open(script: Script = {}, options: Partial<LoadOptions> = {}) {
  const workers: FakeWorker[] = [];
  const worker = () => {
    workers.push(new FakeWorker(script));
    return workers.at(-1) as unknown as Worker;
  };
  const sd = await StableDiffusion.load(MODEL, { worker, ...options });
  return { sd, workers };
}

const code = (expected: SDErrorCode) => (error: unknown) => {
  assert.ok(isSDError(error), String(error));
  assert.equal(error.code, expected, error.message);
  return true;
};
const later = (ms = 5) => new Promise<void>((done) => setTimeout(done, ms));

test('a prompt gives pictures, seeds, notices and timings', async () => {
  const { sd } = await open();
  const result = await sd.generate({ prompt: 'a lake', seed: 7, count: 2, width: 16, height: 8 });
  assert.deepEqual(
    result.images.map(({ width, height, seed, data }) => [width, height, seed, data[0]]),
    [
      [16, 8, 7, 7],
      [16, 8, 8, 8],
    ],
  );
  assert.equal(result.image, result.images[0]);
  assert.deepEqual(result.notices, ['from the worker']);
  assert.ok(result.timings.total >= 0 && result.timings.denoise === 1);
  await sd.dispose();
});

test('the positional form is the same call, and says that strength has no picture', async () => {
  const seen: unknown[] = [];
  const { sd } = await open({
    generate: async ({ prompt, negativePrompt, strength, steps }) => {
      seen.push({ prompt, negativePrompt, strength, steps });
    },
  });
  const { notices } = await sd.generate('a lake', 'fog', 0.6, { steps: 3 });
  assert.deepEqual(seen, [
    { prompt: ['a lake'], negativePrompt: ['fog'], strength: 0.6, steps: 3 },
  ]);
  assert.match(notices[0], /strength has no effect/);
  assert.deepEqual((await sd.generate('a lake')).notices, ['from the worker']);
  await sd.dispose();
});

test('an error keeps its code, cause and retryable across the border', async () => {
  const cause = new RangeError('underneath', { cause: 'the bottom' });
  const { sd } = await open({
    generate: async () => {
      throw new SDError('DEVICE_LOST', 'The GPU is gone.', { cause, retryable: true });
    },
  });
  await assert.rejects(sd.generate('a'), (error) => {
    assert.ok(error instanceof SDError);
    assert.equal(error.code, 'DEVICE_LOST');
    assert.equal(error.message, 'The GPU is gone.');
    assert.equal(error.retryable, true);
    assert.ok(error.cause instanceof Error);
    assert.deepEqual(
      [error.cause.name, error.cause.message, error.cause.cause],
      ['RangeError', 'underneath', 'the bottom'],
    );
    return true;
  });
  await sd.dispose();
});

test('an error that is not ours arrives as INTERNAL with itself as the cause', async () => {
  const { sd } = await open({ generate: () => Promise.reject(new TypeError('oops')) });
  await assert.rejects(sd.generate('a'), (error) => {
    code('INTERNAL')(error);
    return ((error as Error).cause as Error).message === 'oops';
  });
  await sd.dispose();
});

test('an abort rejects at once, stops the worker, and the next call waits until it has', async () => {
  const log: string[] = [];
  const { sd } = await open({
    generate: async ({ prompt }, { signal }) => {
      log.push(`begin ${prompt}`);
      if (prompt[0] === 'b') return;
      await new Promise<void>((done) => signal.addEventListener('abort', () => done()));
      await later(20);
      log.push(`stopped ${prompt}`);
      throw new SDError('ABORTED', 'stopped');
    },
  });
  const controller = new AbortController();
  const first = sd.generate({ prompt: 'a', signal: controller.signal });
  await later();
  const second = sd.generate('b');
  controller.abort('enough');
  await assert.rejects(first, (error) => {
    assert.deepEqual(log, ['begin a']);
    return code('ABORTED')(error) && (error as Error).cause === 'enough';
  });
  await second;
  assert.deepEqual(log, ['begin a', 'stopped a', 'begin b']);
  await sd.dispose();
});

test('a signal that has already fired starts nothing', async () => {
  let calls = 0;
  const { sd } = await open({ generate: async () => void calls++ });
  await assert.rejects(sd.generate({ prompt: 'a', signal: AbortSignal.abort() }), code('ABORTED'));
  assert.equal(calls, 0);
  await sd.generate('a');
  await sd.dispose();
});

test('calls run one after the other; one that waits can be called off', async () => {
  let running = 0;
  const order: string[] = [];
  const { sd } = await open({
    generate: async ({ prompt }) => {
      assert.equal(++running, 1);
      await later();
      order.push(prompt[0]);
      running--;
    },
  });
  const controller = new AbortController();
  const calls = ['a', 'b', 'c'].map((prompt) =>
    sd.generate({ prompt, signal: prompt === 'b' ? controller.signal : undefined }),
  );
  controller.abort();
  await assert.rejects(calls[1], code('ABORTED'));
  await Promise.all([calls[0], calls[2]]);
  assert.deepEqual(order, ['a', 'c']);
  await sd.dispose();
});

test("busy: 'abort' stops the run that is in the way", async () => {
  const { sd } = await open(
    {
      generate: ({ prompt }, { signal }) =>
        prompt[0] === 'new'
          ? Promise.resolve()
          : new Promise((_, fail) =>
              signal.addEventListener('abort', () => fail(new SDError('ABORTED', 'stopped'))),
            ),
    },
    { busy: 'abort' },
  );
  const old = sd.generate('old');
  const oldEnds = assert.rejects(old, code('BUSY'));
  await later();
  assert.equal((await sd.generate({ prompt: 'new', seed: 1 })).seed, 1);
  await oldEnds;
  await sd.dispose();
});

test('a worker that dies rejects what runs, and the next call starts another', async () => {
  let hang = true;
  const { sd, workers } = await open({
    generate: () => (hang ? new Promise<void>(() => {}) : Promise.resolve()),
  });
  const running = sd.generate('a');
  await later();
  hang = false;
  workers[0].crash('out of memory');
  await assert.rejects(running, (error) => {
    assert.match((error as Error).message, /out of memory/);
    return code('WORKER_FAILED')(error) && (error as SDError).retryable;
  });
  assert.ok(workers[0].terminated);
  await sd.generate('a');
  assert.equal(workers.length, 2);
  await sd.dispose();
});

test('after the GPU is lost the next call loads the model anew', async () => {
  let lost = true;
  const { sd, workers } = await open({
    generate: () => (lost ? Promise.reject(new SDError('DEVICE_LOST', 'gone')) : Promise.resolve()),
  });
  await assert.rejects(sd.generate('a'), code('DEVICE_LOST'));
  lost = false;
  await sd.generate('a');
  assert.deepEqual([workers.length, workers[0].terminated], [2, true]);
  await sd.dispose();
});

test('dispose in mid-run rejects with ABORTED, ends the worker, and is final', async () => {
  const { sd, workers } = await open({ generate: () => new Promise<void>(() => {}) });
  const running = sd.generate('a');
  const waiting = sd.generate('b');
  const both = [running, waiting].map((call) => assert.rejects(call, code('ABORTED')));
  await later();
  await sd.dispose();
  await Promise.all(both);
  await sd.dispose();
  assert.ok(workers[0].terminated);
  await assert.rejects(sd.generate('a'), code('DISPOSED'));
});

test('the handle can be disposed of by `await using`', async () => {
  const { sd, workers } = await open();
  await sd[Symbol.asyncDispose]();
  assert.ok(workers[0].terminated);
});

test('stream gives every step and at last the result', async () => {
  const { sd } = await open({
    generate: async ({ steps, preview }, { onStep }) => {
      assert.equal(preview, 'rgb');
      for (let step = 1; step <= steps; step++) {
        const picture = { width: 8, height: 8, data: new Uint8ClampedArray(256).fill(step) };
        onStep({ step, steps, timestep: 1000 - step, preview: picture });
        await later(1);
      }
    },
  });
  const seen: string[] = [];
  for await (const item of sd.stream({ prompt: 'a', steps: 3, seed: 5 })) {
    if (item.type === 'step') seen.push(`${item.step}/${item.steps} ${item.preview!.data[0]}`);
    else seen.push(`seed ${item.result.seed}`);
  }
  assert.deepEqual(seen, ['1/3 1', '2/3 2', '3/3 3', 'seed 5']);
  await sd.dispose();
});

test('leaving the loop stops the run', async () => {
  let stopped = false;
  const { sd } = await open({
    generate: async ({ prompt }, { onStep, signal }) => {
      if (prompt[0] === 'b') return;
      onStep({ step: 1, steps: 9, timestep: 0 });
      await new Promise<void>((done) => signal.addEventListener('abort', () => done()));
      stopped = true;
      throw new SDError('ABORTED', 'stopped');
    },
  });
  for await (const item of sd.stream({ prompt: 'a' })) if (item.type === 'step') break;
  await sd.generate('b');
  assert.ok(stopped);
  await sd.dispose();
});

test('bad options reject a stream before anything runs', async () => {
  const { sd } = await open();
  await assert.rejects(sd.stream({ prompt: 'a', steps: 0 }).next(), code('INVALID_OPTION'));
  await sd.dispose();
});

test('progress of load and generate reaches its own callback, and none after the answer', async () => {
  const part = (phase: 'load' | 'encode', done: number) =>
    phase === 'load'
      ? ({ phase, unit: 'bytes', done, total: 2 } as const)
      : ({ phase, unit: 'prompts', done, total: 2 } as const);
  const loading: Progress[] = [];
  const { sd } = await open(
    {
      load: async (_, { onProgress }) =>
        [0, 1, 2].forEach((done) => onProgress(part('load', done))),
      generate: async (_, { onProgress }) =>
        [0, 1, 2].forEach((done) => onProgress(part('encode', done))),
    },
    { onProgress: (progress) => loading.push(progress) },
  );
  const drawing: Progress[] = [];
  await sd.generate({ prompt: 'a', onProgress: (progress) => drawing.push(progress) });
  const count = drawing.length;
  await later(20);
  assert.deepEqual([loading[0].done, loading.at(-1)!.done], [0, 2]);
  assert.deepEqual([drawing[0].done, drawing.at(-1)!.done], [0, 2]);
  assert.equal(drawing.length, count);
  assert.ok(loading.every(({ phase }) => phase === 'load'));
  await sd.dispose();
});

test('a load that fails ends its worker and keeps the code', async () => {
  const workers: FakeWorker[] = [];
  const worker = () => {
    const script: Script = {
      load: () => Promise.reject(new SDError('MISSING_FILE', 'no model_index.json')),
    };
    workers.push(new FakeWorker(script));
    return workers[0] as unknown as Worker;
  };
  await assert.rejects(StableDiffusion.load(MODEL, { worker }), code('MISSING_FILE'));
  assert.ok(workers[0].terminated);
});

test('an aborted load ends its worker', async () => {
  const controller = new AbortController();
  const workers: FakeWorker[] = [];
  const worker = () => {
    workers.push(new FakeWorker({ load: () => new Promise<void>(() => {}) }));
    setTimeout(() => controller.abort(), 20);
    return workers[0] as unknown as Worker;
  };
  const loading = StableDiffusion.load(MODEL, { worker, signal: controller.signal });
  await assert.rejects(loading, code('ABORTED'));
  assert.ok(workers[0].terminated);
});

test('a worker of another version is refused with both versions', async () => {
  const old = () => {
    const worker = Object.assign(new EventTarget(), {
      postMessage: () =>
        worker.dispatchEvent(
          new MessageEvent('message', { data: { sd: 'ready', version: '0.0.1' } }),
        ),
      terminate: () => {},
    });
    return worker as unknown as Worker;
  };
  await assert.rejects(StableDiffusion.load(MODEL, { worker: old }), (error) => {
    assert.match((error as Error).message, /0\.0\.1/);
    return code('WORKER_FAILED')(error);
  });
});

test('load refuses what is no model and options out of range', async () => {
  const load = (source: unknown, options: unknown = {}) =>
    StableDiffusion.load(source as string, options as LoadOptions);
  await assert.rejects(load(5), code('INVALID_OPTION'));
  await assert.rejects(load('ftp://x/'), code('INVALID_OPTION'));
  await assert.rejects(load([]), code('MISSING_FILE'));
  await assert.rejects(load([5]), code('INVALID_OPTION'));
  for (const options of [{ backend: 'cuda' }, { dtype: 'f8' }, { threads: 0 }, { busy: 'drop' }])
    await assert.rejects(load(MODEL, options), code('INVALID_OPTION'));
});

test('options that a call cannot take are refused before the worker hears of them', async () => {
  let calls = 0;
  const { sd } = await open({ generate: async () => void calls++ });
  const options: GenerateOptions[] = [
    { prompt: 'a', steps: 0 },
    { prompt: 'a', guidanceScale: NaN },
    { prompt: 'a', image: { width: 2, height: 2, data: new Uint8ClampedArray(3) } },
  ];
  for (const one of options) await assert.rejects(sd.generate(one), code('INVALID_OPTION'));
  assert.equal(calls, 0);
  await sd.dispose();
});

test('tokens are counted by the model; no prompt and no text is none', async () => {
  const { sd } = await open();
  assert.deepEqual(await sd.countTokens('a lake'), { tokens: 6, room: 75, chunks: 1, dropped: '' });
  await assert.rejects(sd.countTokens(5 as never), code('INVALID_OPTION'));
  await assert.rejects(sd.countTokens('a', 'compel' as never), code('INVALID_OPTION'));
  await sd.dispose();
  await assert.rejects(sd.countTokens('a'), code('DISPOSED'));
});
