import type * as Sdk from '../../dist/index.js';
import { equal, ok } from './assert.ts';
import { farthest, references, TINY } from './tiny-model.ts';

describe('the script that brings everything along', () => {
  it('draws the same from a blob, threads and all, and fetches nothing of its own', async () => {
    // By a variable: it has the types of the package, and no file of types beside it.
    const path = '/dist/inline.js';
    const { StableDiffusion } = (await import(path)) as typeof Sdk;
    const sd = await StableDiffusion.load(TINY, { backend: 'wasm', keep: false });
    if (navigator.hardwareConcurrency > 1) ok(/[2-9] threads/.test(sd.info.device), sd.info.device);
    const [{ options, rgb }] = await references();
    ok(farthest((await sd.generate(options)).images, rgb) <= 1);
    await sd.dispose();
    const own = performance
      .getEntriesByType('resource')
      .filter(
        ({ name }) => name.startsWith(`${location.origin}/dist/`) && !name.endsWith('inline.js'),
      );
    equal(own.length, 0);
  });
});
