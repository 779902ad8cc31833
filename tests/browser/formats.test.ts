import { StableDiffusion, type LoadOptions } from '../../dist/index.js';
import type * as Sdk from '../../dist/index.js';
import { compVisFile } from '../support/compvis.ts';
import { f32, writeSafetensors } from '../unit/weights-helpers.ts';
import { equal, ok } from './assert.ts';
import { farthest, references, TINY } from './tiny-model.ts';

/** The worker of the package, which also tells what was fetched for it. */
function tellingWorker(): { worker: Worker; requests(): Promise<string[]> } {
  const script = `
    import ${JSON.stringify(new URL('/dist/worker.js', location.href).href)};
    addEventListener('message', ({ data }) => {
      if (data === 'requests')
        postMessage({ requests: performance.getEntriesByType('resource').map(({ name }) => name) });
    });`;
  const url = URL.createObjectURL(new Blob([script], { type: 'text/javascript' }));
  const worker = new Worker(url, { type: 'module' });
  const requests = () =>
    new Promise<string[]>((done) => {
      worker.addEventListener('message', ({ data }: MessageEvent<{ requests?: string[] }>) => {
        if (data?.requests) done(data.requests);
      });
      worker.postMessage('requests');
    });
  return { worker, requests };
}
const formatsIn = (requests: readonly string[]): number =>
  requests.filter((name) => name.endsWith('/dist/formats.js')).length;

/** The tiny model's weights in one file, over its configs. */
async function singleFile(): Promise<NonNullable<LoadOptions['parts']>> {
  const bytes = await compVisFile(
    async (path) => new Uint8Array(await (await fetch(TINY + path)).arrayBuffer()),
  );
  const file = [new File([bytes], 'tiny.safetensors', { lastModified: 1 })];
  return { unet: file, vae: file, text_encoder: file };
}

/** A LoRA that changes nothing: half of it is zeros. */
const NOTHING = 'lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q';
const lora = writeSafetensors([
  [`${NOTHING}.lora_up.weight`, f32(new Array<number>(8).fill(0), [8, 1])],
  [`${NOTHING}.lora_down.weight`, f32(new Array<number>(8).fill(1), [1, 8])],
]);

async function isReference(sd: StableDiffusion): Promise<boolean> {
  const [{ options, rgb }] = await references();
  return farthest((await sd.generate(options)).images, rgb) <= 1;
}

describe("other programs' files", () => {
  it('are read by a module that a folder under its own names never asks for', async () => {
    const { worker, requests } = tellingWorker();
    const sd = await StableDiffusion.load(TINY, { worker, backend: 'wasm', keep: false });
    ok(await isReference(sd));
    const names = await requests();
    ok(
      names.some((name) => name.endsWith('/unet/config.json')),
      'requests are told',
    );
    equal(formatsIn(names), 0);
    await sd.setLoras([]);
    equal(formatsIn(await requests()), 0);
    for (const times of [1, 2]) {
      await sd.setLoras([{ source: [new File([lora], `${times}.safetensors`)] }]);
      ok(await isReference(sd));
      equal(formatsIn(await requests()), 1, 'fetched with the first LoRA, once');
    }
    await sd.dispose();
  });

  it('a single file draws the same picture as the folder, fresh and kept', async () => {
    const parts = await singleFile();
    for (const from of ['the file', 'the cache']) {
      const { worker, requests } = tellingWorker();
      const sd = await StableDiffusion.load(TINY, { worker, backend: 'wasm', parts });
      ok(await isReference(sd), from);
      ok(formatsIn(await requests()) <= 1, from);
      await sd.dispose();
    }
    await StableDiffusion.models.clear();
  });

  it('the script that brings everything along has it inside', async () => {
    // By a variable: it has the types of the package, and no file of types beside it.
    const path = '/dist/inline.js';
    const { StableDiffusion } = (await import(path)) as typeof Sdk;
    const parts = await singleFile();
    const options = { backend: 'wasm', keep: false, parts } as const;
    const sd = await StableDiffusion.load(TINY, options);
    ok(await isReference(sd));
    await sd.dispose();
  });
});
