import { StableDiffusion } from '../../dist/index.js';
import { codeOf, equal, ok } from './assert.ts';
import { farthest, references, TINY } from './tiny-model.ts';

// Half-precision activations: a few grey levels from float32.
const FARTHEST = 4;

describe('the GPU engine, on whatever GPU or software plays one', () => {
  it('draws what diffusers draws, and stops when told to', async () => {
    const { webgpu } = await StableDiffusion.availability();
    ok(webgpu.available, webgpu.reason);
    const sd = await StableDiffusion.load(TINY, { backend: 'webgpu', keep: false });
    equal(sd.info.backend, 'webgpu');
    const [{ options, rgb }] = await references();
    const distance = farthest((await sd.generate(options)).images, rgb);
    ok(distance <= FARTHEST, `${distance} grey levels`);

    const controller = new AbortController();
    const run = sd.generate({
      prompt: 'the lake',
      steps: 500,
      signal: controller.signal,
      onStep: () => controller.abort(),
    });
    equal(await codeOf(run), 'ABORTED');
    ok(farthest((await sd.generate(options)).images, rgb) <= FARTHEST);
    await sd.dispose();
  });
});
