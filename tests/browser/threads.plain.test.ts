import { StableDiffusion } from '../../dist/index.js';
import { equal, ok } from './assert.ts';
import { farthest, references, TINY } from './tiny-model.ts';

describe('a page that is not cross-origin isolated', () => {
  it('draws the same picture on one thread', async () => {
    equal(crossOriginIsolated, false);
    const sd = await StableDiffusion.load(TINY, { backend: 'wasm' });
    ok(/ 1 thread$/.test(sd.info.device), sd.info.device);
    const [{ options, rgb }] = await references();
    ok(farthest((await sd.generate(options)).images, rgb) <= 1);
    await sd.dispose();
  });
});
