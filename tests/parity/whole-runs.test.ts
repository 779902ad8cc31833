import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { isSDError } from '../../sdk/errors.ts';
import type { Picture } from '../../sdk/image.ts';
import { validateOptions, type GenerateOptions } from '../../sdk/options.ts';
import {
  parametersText,
  parseParameters,
  readPngText,
  writePngText,
} from '../../sdk/parameters.ts';
import { generate } from '../../sdk/pipeline/generate.ts';
import { Previewer } from '../../sdk/pipeline/preview.ts';
import { TorchGenerator } from '../../sdk/random/index.ts';
import { pipelineOf } from '../support/landscapes.ts';
import { decodePng, encodePng } from '../support/png-file.ts';
import { nodeWasmBackend } from '../support/wasm-backend.ts';

// What holds of whole runs on the tiny random model, beyond agreeing with diffusers.

const backend = await nodeWasmBackend();
const folder = new URL('../fixtures/tiny-model/', import.meta.url);
const pipeline = await pipelineOf(folder, backend);
after(async () => {
  pipeline.dispose();
  await backend.dispose();
});

async function draw(options: GenerateOptions, image?: Picture) {
  const { request } = validateOptions({ ...options, ...(image && { image }) });
  let evaluations = 0;
  const done = await generate(
    pipeline,
    { ...request, image, mask: undefined },
    { onStep: () => void evaluations++ },
  );
  return { ...done, evaluations };
}

/** Of the pixels of two pictures, the mean difference in grey levels. */
function distance(a: Picture, b: Picture): number {
  assert.equal(a.data.length, b.data.length);
  return a.data.reduce((sum, x, i) => sum + Math.abs(x - b.data[i]), 0) / a.data.length;
}

const MADE: readonly GenerateOptions[] = [
  { prompt: 'the lake', steps: 3, seed: 7 },
  {
    prompt: 'a (lake:1.3), [red:blue:0.5]\nsecond line, "quoted"',
    negativePrompt: 'grey, low',
    ...{ steps: 4, guidanceScale: 5.5, sampler: 'DPM++ 2M Karras', seed: 123456789012 },
    ...{ width: 48, height: 64, syntax: 'a1111', clipSkip: 1, rng: 'cuda', guidanceRescale: 0.3 },
  },
  {
    prompt: ['one', 'two'],
    ...{ count: 2, steps: 2, sampler: 'Euler a', seed: [1, 2, 3, 4], subseed: 9 },
    ...{ subseedStrength: 0.25, seamless: 'x', guidanceStart: 0.1, guidanceEnd: 0.9 },
  },
  { prompt: 'ddim', steps: 3, sampler: 'DDIM', eta: 0.7, seed: 5, rng: 'numpy' },
  { prompt: 'x', steps: 2, seed: 4, secondPass: { scale: 1.5, strength: 0.5, steps: 2 } },
  { prompt: 'x', timesteps: [900, 500, 100], sampler: 'Euler', seed: 8 },
];

for (const options of MADE)
  test(`a PNG reads back, and draws its own pixels again: ${JSON.stringify(options.prompt)}`, async () => {
    const drawn = await draw(options);
    for (const [index, picture] of drawn.pictures.entries()) {
      const scale = options.secondPass?.scale ?? 1;
      const text = parametersText(options, {
        index,
        seed: drawn.seeds[index],
        width: picture.width / scale,
        height: picture.height / scale,
      });
      const png = writePngText(encodePng(picture), text);
      assert.deepEqual(decodePng(png), picture);
      const read = parseParameters(readPngText(png).get('parameters')!);
      const again = await draw(read);
      assert.equal(distance(again.pictures[0], picture), 0, text);
      // Written again, it says the same.
      const [{ width, height }] = again.pictures;
      const size = { width: width / scale, height: height / scale };
      assert.equal(parametersText(read, { seed: again.seeds[0], ...size }), text);
    }
  });

test('pictures drawn together are those drawn alone, to the last bit', async () => {
  // Without guidance a batch is half as large, for some of the steps or for all.
  for (const extra of [{}, { guidanceStart: 0.3, guidanceEnd: 0.9 }, { guidanceScale: 1 }]) {
    const options = { ...{ steps: 3, sampler: 'Euler a', width: 56, height: 40 }, ...extra };
    const together = await draw({ ...options, prompt: ['one', 'two', 'three'], seed: [1, 2, 3] });
    for (const [i, prompt] of ['one', 'two', 'three'].entries()) {
      const { latents, pictures } = await draw({ ...options, prompt, seed: i + 1 });
      const own = together.latents.slice(i * latents.length, (i + 1) * latents.length);
      assert.deepEqual(own, latents, JSON.stringify(options));
      assert.deepEqual(together.pictures[i], pictures[0]);
    }
  }
});

test('a seamless picture has no edge: rolled noise gives the rolled picture', async () => {
  const [edge, latentEdge, by] = [64, 8, 4];
  const shape = [1, 4, latentEdge, latentEdge];
  const noise = new TorchGenerator(3).randn(shape);
  const rolled = (axis: 'x' | 'y'): Float32Array =>
    noise.map((_, i) => {
      const [plane, y, x] = [i >> 6, (i >> 3) & 7, i & 7];
      const [fromY, fromX] = axis === 'x' ? [y, (x + by) & 7] : [(y + by) & 7, x];
      return noise[plane * 64 + fromY * 8 + fromX];
    });
  const options = { prompt: 'the lake', steps: 3, seed: 0, sampler: 'DDIM' };
  for (const axis of ['x', 'y'] as const) {
    const plain = await draw({ ...options, latents: noise, seamless: axis });
    const moved = await draw({ ...options, latents: rolled(axis), seamless: axis });
    const shift = by * (edge / latentEdge);
    const expected = plain.pictures[0].data.map((_, i) => {
      const [y, x] = [Math.floor(i / 4 / edge), Math.floor(i / 4) % edge];
      const [fromY, fromX] = axis === 'x' ? [y, (x + shift) % edge] : [(y + shift) % edge, x];
      return plain.pictures[0].data[4 * (fromY * edge + fromX) + (i % 4)];
    });
    const off = distance({ width: edge, height: edge, data: expected }, moved.pictures[0]);
    assert.ok(off < 0.05, `${axis}: ${off} grey levels`);
    // Along the other axis, and without it, there is an edge.
    const edged = await draw({ ...options, latents: noise });
    const edgedMoved = await draw({ ...options, latents: rolled(axis) });
    const other = edged.pictures[0].data.map((_, i) => {
      const [y, x] = [Math.floor(i / 4 / edge), Math.floor(i / 4) % edge];
      const [fromY, fromX] = axis === 'x' ? [y, (x + shift) % edge] : [(y + shift) % edge, x];
      return edged.pictures[0].data[4 * (fromY * edge + fromX) + (i % 4)];
    });
    assert.ok(
      distance({ width: edge, height: edge, data: other }, edgedMoved.pictures[0]) > 0.5,
      axis,
    );
  }
});

for (const upscaler of ['latent', 'latent-nearest', 'lanczos'] as const)
  test(`a second pass goes on from the first, larger (${upscaler})`, async () => {
    const options = { prompt: 'the lake', steps: 3, seed: 3, sampler: 'Euler' };
    const first = await draw(options);
    const pass = (strength: number) =>
      draw({ ...options, secondPass: { scale: 1.5, strength, steps: 2, upscaler } });
    const [little, much] = [await pass(0.02), await pass(1)];
    assert.deepEqual([little.pictures[0].width, little.pictures[0].height], [96, 96]);
    assert.deepEqual(little.shape, [1, 4, 12, 12]);
    assert.equal(little.evaluations, 3 + 2);
    assert.equal(much.evaluations, 3 + 2);
    if (upscaler === 'lanczos') {
      // It is image-to-image from the first picture, enlarged as one that is given.
      const from = { ...options, width: 96, height: 96, steps: 100, strength: 0.02 };
      const same = await draw(from, first.pictures[0]);
      assert.equal(distance(little.pictures[0], same.pictures[0]), 0);
    } else {
      // With next to no strength the first pass's latents are still there, enlarged.
      const off = ({ latents }: { latents: Float32Array }): number =>
        latents.reduce((sum, value, i) => {
          const [plane, y, x] = [Math.floor(i / 144), Math.floor(i / 12) % 12, i % 12];
          const at = plane * 64 + Math.floor(y / 1.5) * 8 + Math.floor(x / 1.5);
          return sum + (value - first.latents[at]) ** 2;
        }, 0);
      assert.ok(off(little) < 0.8 * off(much), `${off(little)} and ${off(much)}`);
      if (upscaler === 'latent-nearest') assert.ok(off(little) < 0.05 * off(much));
    }
    // All of it is the seed's.
    assert.deepEqual((await pass(1)).latents, much.latents);
  });

test('tokens are counted as the model takes them', () => {
  const long = `${'lake '.repeat(74)}red blue`;
  const counted = pipeline.countTokens(long, 'plain');
  assert.equal(counted.room, 75);
  assert.equal(counted.chunks, 1);
  assert.ok(counted.tokens > 75 && counted.dropped.endsWith('blue'), JSON.stringify(counted));
  const chunked = pipeline.countTokens(long, 'a1111');
  assert.deepEqual(chunked, { tokens: counted.tokens, room: chunked.chunks * 75, chunks: Math.ceil(counted.tokens / 75), dropped: '' }); // prettier-ignore
  assert.deepEqual(pipeline.countTokens('', 'plain'), { tokens: 0, room: 75, chunks: 1, dropped: '' }); // prettier-ignore
  // Brackets, LoRAs and the longer branch of a schedule.
  const bare = pipeline.countTokens('red lake', 'a1111').tokens;
  assert.equal(pipeline.countTokens('(red:1.2) [lake:lake:0.5]<lora:x:1>', 'a1111').tokens, bare);
  assert.equal(pipeline.countTokens('a BREAK b', 'a1111').chunks, 2);
});

test('TAESD beside a whole VAE draws the previews, and nothing else', async () => {
  const at = new URL('../fixtures/checkpoints/taesd/taesd_decoder.pth.gz', import.meta.url);
  const file = new Blob([gunzipSync(readFileSync(at))]);
  const taesd = { kind: 'files', files: [{ path: 'taesd_decoder.pth', file }] } as const;
  const drawn = async (parts: Parameters<typeof pipelineOf>[3]) => {
    const own = await pipelineOf(folder, backend, {}, parts);
    const previewer = new Previewer(own);
    const shown: (Picture | undefined)[] = [];
    const { request } = validateOptions({ prompt: 'the lake', steps: 2, seed: 7, sampler: 'DDIM' });
    const { pictures } = await generate(
      own,
      { ...request, image: undefined, mask: undefined },
      { onStep: async (event) => void shown.push(await previewer.show('vae', event)) },
    );
    own.dispose();
    return { picture: pictures[0], shown };
  };
  const whole = await drawn({});
  const both = await drawn({ preview: taesd });
  const tiny = await drawn({ vae: taesd });
  assert.deepEqual(both.picture, whole.picture);
  assert.deepEqual(both.shown, tiny.shown);
  assert.notDeepEqual(both.shown, whole.shown);
});

test('what only the model can refuse is refused in a sentence, and it draws on', async () => {
  const picture = (edge: number): Picture => ({
    width: edge,
    height: edge,
    data: new Uint8ClampedArray(4 * edge * edge).fill(255),
  });
  const base = { prompt: 'the lake', steps: 2, seed: 1 };
  const before = await draw(base);
  const refusals: [GenerateOptions, RegExp][] = [
    [{ ...base, sampler: 'Eular a' }, /no sampler 'Eular a'\. Did you mean .*Euler a/],
    [{ ...base, sampler: 'DDIM Karras' }, /'DDIM Karras' cannot be: .*use_karras_sigmas/],
    [{ ...base, sampler: 'Euler', eta: 0.5 }, /takes no eta.*DDIM or TCD/],
    [{ ...base, sampler: 'LCM', steps: 60 }, /original_inference_steps/],
    [{ ...base, width: 20 * 4 + 8, latents: new Float32Array(9) }, /latents hold 9 numbers/],
    [{ ...base, image: picture(64), mask: picture(32) }, /mask is 32×32 and the picture 64×64/],
    [{ ...base, seamless: true, vaeTiling: true }, /seamless .*tiles/],
  ];
  for (const [options, sentence] of refusals) {
    const { request } = validateOptions(options);
    const given = { image: options.image as Picture, mask: options.mask as Picture };
    await assert.rejects(generate(pipeline, { ...request, ...given }), (error) => {
      assert.ok(isSDError(error) && error.code === 'INVALID_OPTION', String(error));
      assert.match(error.message, sentence);
      return true;
    });
  }
  assert.deepEqual((await draw(base)).latents, before.latents);
});

/** A safetensors file with twice the input channels in its first convolution, the new ones at its end. */
function withEightChannels(file: Buffer): Buffer {
  const dataStart = 8 + Number(file.readBigUInt64LE(0));
  const header = JSON.parse(file.toString('utf8', 8, dataStart)) as Record<
    string,
    { shape: number[]; data_offsets: number[] }
  >;
  const first = header['conv_in.weight'];
  const [begin, end] = first.data_offsets;
  const data = file.subarray(dataStart);
  const rest = Buffer.concat([data.subarray(0, begin), data.subarray(end)]);
  for (const entry of Object.values(header))
    if (entry !== first && entry.data_offsets?.[0] >= end)
      entry.data_offsets = entry.data_offsets.map((at) => at - (end - begin));
  first.shape[1] = 8;
  first.data_offsets = [rest.length, rest.length + 2 * (end - begin)];
  const text = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  return Buffer.concat([length, text, rest, Buffer.alloc(2 * (end - begin))]);
}

test('a UNet of neither 4 nor 9 channels paints nothing', async () => {
  const odd = await pipelineOf(folder, backend, {
    'unet/config.json': (file) => JSON.stringify({ ...JSON.parse(String(file)), in_channels: 8 }),
    'unet/diffusion_pytorch_model.safetensors': withEightChannels,
  });
  const edge = 64;
  const white = { width: edge, height: edge, data: new Uint8ClampedArray(4 * edge ** 2).fill(255) };
  const { request } = validateOptions({ prompt: 'a', steps: 1, image: white, mask: white });
  await assert.rejects(generate(odd, { ...request, image: white, mask: white }), (error) => {
    assert.ok(isSDError(error) && error.code === 'INVALID_OPTION', String(error));
    assert.match(error.message, /takes 8 channels: it can make no inpainting .*takes 4 or 9/);
    return true;
  });
  odd.dispose();
});

test('a prompt beyond 75 tokens is noticed with what was dropped; open brackets are A1111’s', async () => {
  const notices: string[] = [];
  const run = async (options: GenerateOptions): Promise<Float32Array> => {
    const { request } = validateOptions({ steps: 1, seed: 1, ...options });
    const whole = { ...request, image: undefined, mask: undefined };
    const hooks = { onNotice: (notice: string) => void notices.push(notice) };
    return (await generate(pipeline, whole, hooks)).latents;
  };
  const words = 'lake '.repeat(75).trimEnd();
  const cut = await run({ prompt: `${words} blue` });
  assert.match(notices[0], /longer than 75 tokens\. Left out: “.*blue ?”/);
  assert.deepEqual(cut, await run({ prompt: `${words} red` }));
  const syntax = 'a1111';
  assert.deepEqual(
    await run({ prompt: 'a ((lake', syntax }),
    await run({ prompt: 'a ((lake))', syntax }),
  );
  assert.deepEqual(
    await run({ prompt: 'a lake)', syntax }),
    await run({ prompt: 'a lake\\)', syntax }),
  );
});
