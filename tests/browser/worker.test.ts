import { StableDiffusion } from '../../dist/index.js';
import { codeOf, equal, ok } from './assert.ts';
import { farthest, references, TINY } from './tiny-model.ts';

const WORKER = new URL('/dist/worker.js', location.href);

/** The code and message of what loading with this worker gives, or its picture's distance. */
async function draw(worker: () => Worker | Promise<Worker>): Promise<number> {
  const sd = await StableDiffusion.load(TINY, { backend: 'wasm', worker });
  const [{ options, rgb }] = await references();
  const { images } = await sd.generate(options);
  await sd.dispose();
  return farthest(images, rgb);
}

const blob = (script: string) =>
  new Worker(URL.createObjectURL(new Blob([script], { type: 'text/javascript' })), {
    type: 'module',
  });

describe('ways to start a worker', () => {
  it('takes a URL, a function, and a worker that is long ready', async () => {
    const byUrl = await StableDiffusion.load(TINY, { backend: 'wasm', worker: WORKER });
    await byUrl.dispose();
    ok((await draw(() => new Worker(WORKER, { type: 'module' }))) <= 1);
    const early = new Worker(WORKER, { type: 'module' });
    await new Promise((done) => early.addEventListener('message', done, { once: true }));
    const sd = await StableDiffusion.load(TINY, { backend: 'wasm', worker: early });
    // Nobody can make it any threads.
    ok(/ 1 thread$/.test(sd.info.device), sd.info.device);
    ok(/ready-made/.test(String(sd.info.notices)));
    await sd.generate({ prompt: 'a', steps: 1 });
    await sd.dispose();
  });

  it('draws in a worker from a blob, threads and all', async () => {
    ok((await draw(() => blob(`import ${JSON.stringify(WORKER.href)};`))) <= 1);
  });

  it('makes a worker for each thread', async () => {
    let workers = 0;
    const worker = () => {
      workers++;
      return new Worker(WORKER, { type: 'module' });
    };
    const sd = await StableDiffusion.load(TINY, { backend: 'wasm', threads: 3, worker });
    ok(/ 3 threads$/.test(sd.info.device), sd.info.device);
    equal(workers, 3);
    await sd.dispose();
  });

  it('does without the threads that do not come', async () => {
    let workers = 0;
    const worker = () => {
      if (workers++ > 0) throw new Error('no more');
      return new Worker(WORKER, { type: 'module' });
    };
    const sd = await StableDiffusion.load(TINY, { backend: 'wasm', threads: 3, worker });
    ok(/ 1 thread$/.test(sd.info.device), sd.info.device);
    await sd.generate({ prompt: 'a', steps: 1 });
    await sd.dispose();
  });

  it('says what to change where none starts', async () => {
    const load = (worker: string | (() => Worker)) =>
      StableDiffusion.load(TINY, { backend: 'wasm', worker });
    equal(await codeOf(load('/no-such-worker.js')), 'WORKER_FAILED');
    const broken = load(() => blob('throw new Error("broken on purpose")'));
    const message = await broken.catch((error: Error) => error.message);
    ok(/broken on purpose/.test(String(message)), String(message));
    ok(/worker-src/.test(String(message)), String(message));
  });
});

describe('a worker that dies', () => {
  it('rejects what runs; the next call has a new one', async () => {
    const workers: Worker[] = [];
    const sd = await StableDiffusion.load(TINY, {
      backend: 'wasm',
      threads: 1,
      worker: () => {
        // Dies by its own hand when told to, without any event: as when it is killed for its memory.
        workers.push(
          blob(`
            import ${JSON.stringify(WORKER.href)};
            addEventListener('message', ({ data }) => data === 'die' && close());
          `),
        );
        return workers.at(-1)!;
      },
    });
    const dying = sd.generate({
      prompt: 'a',
      steps: 1000,
      onStep: ({ step }) => step === 1 && workers[0].postMessage('die'),
    });
    equal(await codeOf(dying), 'WORKER_FAILED');
    await sd.generate({ prompt: 'a', steps: 1 });
    equal(workers.length, 2);
    await sd.dispose();
  });

  it('dispose in mid-run rejects with ABORTED', async () => {
    const sd = await StableDiffusion.load(TINY, { backend: 'wasm' });
    let stop: Promise<void> | undefined;
    const run = sd.generate({ prompt: 'a', steps: 1000, onStep: () => (stop ??= sd.dispose()) });
    equal(await codeOf(run), 'ABORTED');
    await stop;
    equal(await codeOf(sd.generate('a')), 'DISPOSED');
  });
});
