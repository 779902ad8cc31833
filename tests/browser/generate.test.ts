import { StableDiffusion, type Progress } from '../../dist/index.js';
import { codeOf, equal, ok } from './assert.ts';
import { farthest, references, TINY } from './tiny-model.ts';

describe('a prompt becomes a picture', () => {
  let sd: StableDiffusion;
  const loading: Progress[] = [];
  before(async () => {
    sd = await StableDiffusion.load(TINY, {
      backend: 'wasm',
      // Another file of tests may have left it on the device.
      keep: false,
      onProgress: (progress) => loading.push(progress),
    });
  });
  after(() => sd.dispose());

  it('loads in a worker, with threads, and says how far it is', () => {
    equal(sd.info.backend, 'wasm');
    equal([sd.info.width, sd.info.height, sd.info.sizeStep], [64, 64, 8]);
    if (navigator.hardwareConcurrency > 1) ok(/[2-9] threads/.test(sd.info.device), sd.info.device);
    const last = loading.at(-1)!;
    equal(last.phase, 'download');
    equal(last.done, last.total);
    ok(last.done > 100_000);
  });

  it('draws what diffusers draws, to within one grey level', async () => {
    for (const { options, width, height, pictures, rgb } of await references()) {
      const { images } = await sd.generate(options);
      equal(images.length, pictures);
      equal([images[0].width, images[0].height], [width, height]);
      const distance = farthest(images, rgb);
      ok(distance <= 1, `${JSON.stringify(options.prompt)}: ${distance} grey levels away`);
    }
  });

  it('gives the same picture for the same seed', async () => {
    const [a, b, c] = [
      await sd.generate({ prompt: 'the lake', steps: 2, seed: 5 }),
      await sd.generate({ prompt: 'the lake', steps: 2, seed: 5 }),
      await sd.generate({ prompt: 'the lake', steps: 2, seed: 6 }),
    ].map(({ image }) => image.data.join());
    ok(a === b && a !== c);
  });

  it('makes a PNG, a canvas and an ImageBitmap of it', async () => {
    const { image } = await sd.generate({ prompt: 'a', steps: 1, width: 24, height: 16 });
    const blob = await image.toBlob();
    equal(blob.type, 'image/png');
    const [png, canvas, bitmap] = [
      await createImageBitmap(blob),
      image.toCanvas(),
      await image.toImageBitmap(),
    ];
    for (const { width, height } of [png, canvas, bitmap]) equal([width, height], [24, 16]);
    const pixels = canvas.getContext('2d')!.getImageData(0, 0, 24, 16).data;
    equal(pixels.join() === image.data.join(), true);
  });

  it('streams a preview of every step, then the result', async () => {
    const seen: string[] = [];
    for await (const item of sd.stream({ prompt: 'the lake', steps: 3, seed: 1 })) {
      if (item.type === 'result') seen.push(`result ${item.result.seed}`);
      else seen.push(`${item.step}/${item.steps} ${item.preview!.width}`);
    }
    equal(seen, ['1/3 8', '2/3 8', '3/3 8', 'result 1']);
  });

  it('reports each phase of a run in order', async () => {
    const phases = new Map<string, number[]>();
    await sd.generate({
      prompt: 'a',
      steps: 4,
      onProgress: ({ phase, done, total }) =>
        phases.set(phase, [...(phases.get(phase) ?? []), done / total!]),
    });
    equal([...phases.keys()], ['encode', 'denoise', 'decode']);
    for (const done of phases.values()) {
      equal(done[0], 0);
      equal(done.at(-1), 1);
    }
  });

  it('stops when told to, and can be used again', async () => {
    const controller = new AbortController();
    let steps = 0;
    const run = sd.generate({
      prompt: 'a',
      steps: 1000,
      signal: controller.signal,
      onStep: () => {
        if (++steps === 2) controller.abort();
      },
    });
    equal(await codeOf(run), 'ABORTED');
    const before = performance.now();
    await sd.generate({ prompt: 'a', steps: 1 });
    // The rest of the thousand steps would have taken longer than this.
    ok(performance.now() - before < 2000);
    ok(steps < 50, `${steps} steps`);
  });

  it('refuses what the model cannot do, and can be used again', async () => {
    equal(await codeOf(sd.generate({ prompt: 'a', steps: 0 })), 'INVALID_OPTION');
    equal(await codeOf(sd.generate({ prompt: 'a', width: 60 })), 'INVALID_OPTION');
    equal(await codeOf(sd.generate({ prompt: 'a', guidanceScale: NaN })), 'INVALID_OPTION');
    equal(await codeOf(sd.generate({ prompt: 'a', sampler: 'nope' })), 'INVALID_OPTION');
    equal(await codeOf(sd.generate({ prompt: 'half \ud83d' })), 'INVALID_PROMPT');
    equal(
      await codeOf(sd.generate({ prompt: 'a', latents: new Float32Array(7) })),
      'INVALID_OPTION',
    );
    const other = new Blob(['no picture']);
    equal(await codeOf(sd.generate({ prompt: 'a', image: other })), 'INVALID_OPTION');
    await sd.generate({ prompt: 'a', steps: 1 });
  });
});

describe('a model that cannot be loaded', () => {
  const load = (source: Parameters<typeof StableDiffusion.load>[0]) =>
    codeOf(StableDiffusion.load(source, { backend: 'wasm' }));
  const tiny = async (): Promise<Map<string, Blob>> => {
    const index = ['model_index.json', 'scheduler/scheduler_config.json'];
    const tokenizer = ['vocab.json', 'merges.txt', 'tokenizer_config.json'];
    const paths = [
      ...index,
      ...tokenizer.map((name) => `tokenizer/${name}`),
      ...['unet', 'vae', 'text_encoder'].map((part) => `${part}/config.json`),
      ...['unet', 'vae'].map((part) => `${part}/diffusion_pytorch_model.safetensors`),
      'text_encoder/model.safetensors',
    ];
    const files = new Map<string, Blob>();
    for (const path of paths) files.set(path, await (await fetch(TINY + path)).blob());
    return files;
  };

  it('is refused by its own code', async () => {
    equal(await load([]), 'MISSING_FILE');
    equal(await load('/tests/fixtures/no-such-model/'), 'MISSING_FILE');
    const files = await tiny();
    const unet = 'unet/diffusion_pytorch_model.safetensors';
    const weights = files.get(unet)!;
    const without = new Map(files);
    without.delete(unet);
    equal(await load(without), 'MISSING_FILE');
    equal(await load(new Map(files).set(unet, weights.slice(0, 5000))), 'INVALID_FILE');
    equal(
      await load(new Map(files).set(unet, files.get('text_encoder/model.safetensors')!)),
      'WEIGHTS_MISMATCH',
    );
    equal(await load(new Map(files).set('model_index.json', new Blob(['{']))), 'INVALID_FILE');
  });

  it('loads from files as from a URL', async () => {
    const sd = await StableDiffusion.load(await tiny(), { backend: 'wasm' });
    const [{ options, rgb }] = await references();
    const { images } = await sd.generate(options);
    ok(farthest(images, rgb) <= 1);
    await sd.dispose();
    equal(await codeOf(sd.generate('a')), 'DISPOSED');
  });
});
