import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { listen } from '../../demos/serve.mjs';
import { openBrowser, type EnginePage } from '../support/browsers.mjs';
import { compVisFile } from '../support/compvis.ts';

// Safari's engine, as Debian builds it: no WebGPU, no relaxed SIMD, no threads. Two origins: one has
// the package and the model, as a CDN has them, the other the page.
const root = fileURLToPath(new URL('../..', import.meta.url));
const PLAIN_PAGE = 'demos/frameworks/plain-html/index.html';
const TYPES: Record<string, string> = { '.html': 'text/html', '.json': 'application/json' };
let cdn: Server;
let host: Server;
let page: EnginePage;
let [packages, address] = ['', ''];

const originOf = (server: Server, name: string) =>
  `http://${name}:${(server.address() as AddressInfo).port}`;

before(async () => {
  cdn = await listen(8800);
  packages = originOf(cdn, 'localhost');
  host = createServer((request, response) => {
    void (async () => {
      const path = request.url!.slice(1);
      const file = path === '' ? PLAIN_PAGE : join('tests/fixtures/tiny-model', path);
      const bytes = await readFile(join(root, file));
      response.setHeader('Content-Type', TYPES[extname(file)] ?? 'application/octet-stream');
      const text = bytes
        .toString()
        .replace('https://cdn.example/stable-diffusion-web@0.1.0', packages)
        .replace('https://cdn.example/models/landscapes', `${packages}/demos/landscapes/model`);
      response.end(path === '' ? text : bytes);
    })().catch(() => response.writeHead(404).end());
  });
  await new Promise<void>((done) => host.listen(0, '127.0.0.1', done));
  address = originOf(host, '127.0.0.1');
  page = await openBrowser('webkit');
});
after(async () => {
  await page?.close();
  cdn.close();
  host.close();
});

interface Drawn {
  readonly device: string;
  readonly origin: string;
  readonly seed: number;
  readonly pixels: number[];
}

/** Presses Draw on the plain page and waits for what comes. */
const DRAW = `
  await customElements.whenDefined('stable-diffusion');
  const element = document.querySelector('stable-diffusion');
  element.seed = 7;
  element.steps = 6;
  const drawn = new Promise((done, fail) => {
    element.addEventListener('image', ({ detail }) => done(detail));
    element.addEventListener('error', ({ detail }) => fail(detail));
  });
  element.shadowRoot.querySelector("[part~='draw-button']").click();
  const { image, seed } = await drawn;
  const { device } = (await element.load()).info;
  const shown = element.shadowRoot.querySelector("[part~='image']");
  while (shown.hidden) await new Promise((done) => setTimeout(done, 20));
  return { device, seed, origin: location.origin, pixels: [...image.data] };`;

const farthest = (a: readonly number[], b: readonly number[]) => {
  assert.equal(a.length, b.length);
  return a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i])), 0);
};

test('the plain page draws from a package on another origin, as in Chromium', async () => {
  await page.goto(address);
  const here = await page.evaluate<Drawn>(DRAW);
  assert.deepEqual([here.device, here.seed], ['WebAssembly, plain SIMD, 1 thread', 7]);
  assert.equal(here.origin, address);
  const chromium = await openBrowser('chromium');
  try {
    await chromium.goto(address);
    const there = await chromium.evaluate<Drawn>(DRAW);
    assert.match(there.device, /relaxed SIMD/);
    assert.equal(here.pixels.length, 128 * 128 * 4);
    const distance = farthest(here.pixels, there.pixels);
    assert.ok(distance <= 1, `${distance} grey levels away`);
  } finally {
    await chromium.close();
  }
});

test('draws what diffusers draws, to within one grey level', async () => {
  const expected = JSON.parse(
    await readFile(join(root, 'tests/fixtures/tiny-model/expected.json'), 'utf8'),
  ) as { options: object; rgb: string }[];
  await page.goto(address);
  const pictures = await page.evaluate<number[][]>(
    `const { StableDiffusion } = await import(arguments[0] + '/dist/index.js');
    const sd = await StableDiffusion.load(location.href, { keep: false });
    const pictures = [];
    const gradient = new ImageData(64, 64);
    for (let y = 0; y < 64; y++)
      for (let x = 0; x < 64; x++) gradient.data.set([4 * x, 4 * y, 128, 255], 4 * (y * 64 + x));
    for (const options of arguments[1]) {
      if (options.image === 'gradient') options.image = gradient;
      const { images } = await sd.generate(options);
      pictures.push(images.flatMap(({ data }) => [...data].filter((_, i) => i % 4 < 3)));
    }
    await sd.dispose();
    return pictures;`,
    packages,
    expected.map(({ options }) => options),
  );
  assert.ok(expected.length > 0);
  for (const [i, { options, rgb }] of expected.entries()) {
    const distance = farthest(pictures[i], [...Buffer.from(rgb, 'base64')]);
    assert.ok(distance <= 1, `${JSON.stringify(options)}: ${distance} grey levels away`);
  }
});

test('draws the same from a single file, which a module of its own reads', async () => {
  const tiny = join(root, 'tests/fixtures/tiny-model');
  const [{ options, rgb }] = JSON.parse(await readFile(join(tiny, 'expected.json'), 'utf8')) as {
    options: object;
    rgb: string;
  }[];
  const weights = await compVisFile((path) => readFile(join(tiny, path)));
  await page.goto(address);
  const pixels = await page.evaluate<number[]>(
    `const { StableDiffusion } = await import(arguments[0] + '/dist/index.js');
    const bytes = Uint8Array.from(atob(arguments[1]), (letter) => letter.charCodeAt(0));
    const file = [new File([bytes], 'tiny.safetensors')];
    const parts = { unet: file, vae: file, text_encoder: file };
    const sd = await StableDiffusion.load(location.href, { keep: false, parts });
    const { images } = await sd.generate(arguments[2]);
    await sd.dispose();
    return images.flatMap(({ data }) => [...data].filter((_, i) => i % 4 < 3));`,
    packages,
    Buffer.from(weights).toString('base64'),
    options,
  );
  const distance = farthest(pixels, [...Buffer.from(rgb, 'base64')]);
  assert.ok(distance <= 1, `${distance} grey levels away`);
});

test('what is imported is kept, though a private window refuses Blobs', async () => {
  await page.goto(address);
  const [first, second] = await page.evaluate<{ pixels: string; bytes: number }[]>(
    `const { StableDiffusion } = await import(arguments[0] + '/dist/index.js');
    const runs = [];
    for (let i = 0; i < 2; i++) {
      let bytes = 0;
      const sd = await StableDiffusion.load(location.href, {
        onProgress(progress) {
          if (progress.phase === 'download' && progress.fromCache === false) bytes = progress.done;
        },
      });
      const { image } = await sd.generate({ prompt: 'the lake', steps: 2, seed: 5 });
      runs.push({ bytes, pixels: image.data.join() });
      await sd.dispose();
    }
    await StableDiffusion.models.clear();
    return runs;`,
    packages,
  );
  assert.equal(second.pixels, first.pixels);
  assert.ok(first.bytes > 0);
  assert.equal(second.bytes, 0);
});

test('Cancel stops a run, and the next one draws', async () => {
  await page.goto(address);
  const [code, seed] = await page.evaluate<[string, number]>(
    `const { StableDiffusion } = await import(arguments[0] + '/dist/index.js');
    const sd = await StableDiffusion.load(location.href, { keep: false });
    const stop = new AbortController();
    const run = sd.generate({
      prompt: 'a', steps: 1000, signal: stop.signal, onStep: () => stop.abort(),
    });
    const code = await run.catch((error) => error.code);
    const { seed } = await sd.generate({ prompt: 'a', steps: 1, seed: 3 });
    await sd.dispose();
    return [code, seed];`,
    packages,
  );
  assert.deepEqual([code, seed], ['ABORTED', 3]);
});
