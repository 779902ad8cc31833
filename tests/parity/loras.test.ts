import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { after, test } from 'node:test';
import type { WeightDtype } from '../../sdk/backends/backend.ts';
import { CachedModel, ModelCache, modelStore } from '../../sdk/cache/index.ts';
import { validateOptions } from '../../sdk/options.ts';
import { generate } from '../../sdk/pipeline/generate.ts';
import { Pipeline } from '../../sdk/pipeline/pipeline.ts';
import { checkpointModel } from '../../sdk/worker/checkpoint-model.ts';
import { Loras } from '../../sdk/formats/loras.ts';
import { openCheckpoint } from '../../sdk/worker/open-checkpoint.ts';
import { withFiles } from '../../sdk/worker/tensor-file.ts';
import type { LoraRequest, ModelLocation } from '../../sdk/worker/protocol.ts';
import { FakeIndexedDB } from '../faults/fake-indexeddb.ts';
import { nodeWasmBackend } from '../support/wasm-backend.ts';
import { fails, randomFloats, writeSafetensors, type TestTensor } from '../unit/weights-helpers.ts';
import { formats } from '../support/formats.ts';

const TINY = 'tests/fixtures/tiny-model';
const model: ModelLocation = {
  kind: 'files',
  files: (readdirSync(TINY, { recursive: true }) as string[])
    .filter((path) => /\.\w+$/.test(path))
    .map((path) => ({ path, file: new Blob([readFileSync(`${TINY}/${path}`)]) })),
};
const backend = await nodeWasmBackend();
const tokenizer = await WebAssembly.compile(readFileSync('build/wasm/tokenizer.wasm'));
after(() => backend.dispose());

/** A LoRA of rank 2 for some modules of the tiny model, which are not the same for every seed. */
function lora(seed: number, unet = 1, text = unet): LoraRequest {
  const tensors: [string, TestTensor][] = [];
  const add = (module: string, up: number[], down: number[]): void => {
    for (const [half, shape] of [
      ['lora_up', up],
      ['lora_down', down],
    ] as const) {
      // prettier-ignore
      const values = randomFloats(shape.reduce((a, b) => a * b, 1), seed * 100 + tensors.length); // prettier-ignore
      tensors.push([`${module}.${half}.weight`, { dtype: 'F32', shape, bytes: new Uint8Array(values.buffer) }]); // prettier-ignore
    }
  };
  const attention = 'lora_unet_down_blocks_0_attentions_0';
  add(`${attention}_transformer_blocks_0_attn1_to_q`, [8, 2], [2, 8]);
  // What is computed once per prompt must be computed anew.
  if (seed % 2) add(`${attention}_transformer_blocks_0_attn2_to_v`, [8, 2], [2, 16]);
  else add('lora_unet_down_blocks_0_resnets_0_conv1', [8, 2, 1, 1], [2, 8, 3, 3]);
  add('lora_te_text_model_encoder_layers_1_mlp_fc1', [32, 2], [2, 16]);
  const file = new File([writeSafetensors(tensors)], `lora-${seed}.safetensors`, { lastModified: 1 }); // prettier-ignore
  return { file: { kind: 'files', files: [{ path: file.name, file }] }, unet, text };
}

async function open(dtype: WeightDtype, loras: readonly LoraRequest[], cached?: CachedModel) {
  const checkpoint = await openCheckpoint(
    { model, variant: undefined },
    { formats, merges: 'unused:' },
  );
  const worn = new Loras((part) => checkpoint.components.has(part));
  const wear = async (
    wanted: readonly LoraRequest[],
    parts: Parameters<Loras['wear']>[1],
  ): Promise<void> => worn.wear(await withFiles(wanted, 'lora', undefined, formats), parts);
  await wear(loras, new Map());
  const source = checkpointModel(checkpoint, {
    ...{ tokenizer, formats, cached },
    merge: (part, params, plain) => worn.merge(part, params, plain),
  });
  return { wear, pipeline: await Pipeline.load(source, backend, { dtype }) };
}
async function draw(pipeline: Pipeline): Promise<Float32Array> {
  const { request } = validateOptions({ prompt: 'the lake', steps: 3, seed: 7 });
  return (await generate(pipeline, { ...request, image: undefined, mask: undefined })).latents;
}
/** What a model that was loaded with them draws. */
async function fresh(dtype: WeightDtype, loras: readonly LoraRequest[]): Promise<Float32Array> {
  const { pipeline } = await open(dtype, loras);
  try {
    return await draw(pipeline);
  } finally {
    pipeline.dispose();
  }
}

for (const dtype of ['f32', 'f16', 'i8'] as const)
  test(`in ${dtype} LoRAs are put on, changed and taken off without a load, and every picture is to the bit that of a fresh one`, async () => {
    const db = new FakeIndexedDB() as unknown as IDBFactory;
    const cache = new ModelCache(modelStore({ indexedDB: db }));
    const { wear, pipeline } = await open(dtype, [], new CachedModel(cache, { key: 'it', name: 'it' })); // prettier-ignore
    const plain = await draw(pipeline);
    const seen = new Set([plain.join()]);
    const sets = [[lora(1)], [lora(1, 0.5)], [lora(1, 0.5), lora(2, -1, 0)], [lora(2, 0.25)], [lora(3)]]; // prettier-ignore
    for (const set of sets) {
      await wear(set, pipeline.adaptable);
      const drawn = await draw(pipeline);
      assert.deepEqual(drawn, await fresh(dtype, set));
      seen.add(drawn.join());
    }
    assert.equal(seen.size, 1 + sets.length, 'every set draws another picture');
    await wear([], pipeline.adaptable);
    assert.deepEqual(await draw(pipeline), plain);
    // On at the load, off later.
    const other = await open(dtype, [lora(1), lora(2)]);
    await other.wear([], other.pipeline.adaptable);
    assert.deepEqual(await draw(other.pipeline), plain);
    other.pipeline.dispose();
    pipeline.dispose();
  });

test('a LoRA that is refused, or weights that cannot be read again, leave the model as it was', async () => {
  const { wear, pipeline } = await open('f16', [lora(1)]);
  const before = await draw(pipeline);
  const values = new Uint8Array(4 * 4);
  const stranger = writeSafetensors([
    ['lora_unet_nowhere.lora_up.weight', { dtype: 'F32', shape: [2, 2], bytes: values }],
    ['lora_unet_nowhere.lora_down.weight', { dtype: 'F32', shape: [2, 2], bytes: values }],
  ]);
  const file: ModelLocation = {
    kind: 'files',
    files: [{ path: 'stranger.safetensors', file: new Blob([stranger]) }],
  };
  await assert.rejects(
    wear([lora(2), { file, unet: 1, text: 1 }], pipeline.adaptable),
    fails('WEIGHTS_MISMATCH', /nowhere is not part/),
  );
  assert.deepEqual(await draw(pipeline), before);

  // The source breaks off in the middle, once: half of the weights are new by then.
  let breaks = 1;
  const parts = new Map(
    [...pipeline.adaptable].map(([name, part]) => [
      name,
      {
        params: part.params,
        reload: async (names: ReadonlySet<string>) => {
          if (name === 'unet' && breaks-- > 0) throw new Error('the line broke');
          await part.reload(names);
        },
      },
    ]),
  );
  await assert.rejects(wear([lora(2)], parts), /the line broke/);
  assert.deepEqual(await draw(pipeline), before);
  breaks = 2;
  await assert.rejects(wear([lora(2)], parts), fails('WORKER_FAILED', /nor the weights put back/)); // prettier-ignore
  pipeline.dispose();
});
