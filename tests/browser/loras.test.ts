import { StableDiffusion, type LoraOption } from '../../dist/index.js';
import { randomFloats, writeSafetensors, type TestTensor } from '../unit/weights-helpers.ts';
import { codeOf, equal, ok } from './assert.ts';
import { farthest, references, TINY } from './tiny-model.ts';

/** Modules of the tiny model, `[up, down]` shapes of a LoRA of rank 2. */
const QUERY = 'lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q';
const MODULES: Record<string, [number[], number[]]> = {
  [QUERY]: [[8, 2], [2, 8]],
  // What is computed once per prompt must be computed anew.
  [QUERY.replace('attn1_to_q', 'attn2_to_v')]: [[8, 2], [2, 16]],
  lora_unet_down_blocks_0_resnets_0_conv1: [[8, 2, 1, 1], [2, 8, 3, 3]],
  lora_te_text_model_encoder_layers_1_mlp_fc1: [[32, 2], [2, 16]],
}; // prettier-ignore

function loraFile(seed: number, modules: readonly string[] = Object.keys(MODULES)): File {
  const tensors: [string, TestTensor][] = [];
  for (const module of modules)
    for (const [half, shape] of ['lora_up', 'lora_down'].map(
      (name, i) => [name, (MODULES[module] ?? MODULES[QUERY])[i]] as const,
    )) {
      // prettier-ignore
      const size = shape.reduce((a, b) => a * b, 1);
      const values = randomFloats(size, seed * 100 + tensors.length);
      tensors.push([
        `${module}.${half}.weight`,
        { dtype: 'F32', shape, bytes: new Uint8Array(values.buffer) },
      ]);
    }
  return new File([writeSafetensors(tensors)], `${seed}.safetensors`, { lastModified: seed });
}
const lora = (seed: number, strength?: number, modules?: readonly string[]): LoraOption => ({
  source: [loraFile(seed, modules)],
  strength,
});
const draw = async (sd: StableDiffusion): Promise<string> => {
  const { image, latents } = await sd.generate({ prompt: 'the lake', steps: 2, seed: 7 });
  return `${image.data.join()} ${latents.join()}`;
};

describe('LoRAs put on and taken off in a worker', () => {
  let sd: StableDiffusion;
  let plain: string;
  before(async () => {
    sd = await StableDiffusion.load(TINY, { backend: 'wasm', keep: false });
    plain = await draw(sd);
  });
  after(() => sd.dispose());

  /** What a model that was loaded with them draws. */
  const fresh = async (loras: readonly LoraOption[]): Promise<string> => {
    const other = await StableDiffusion.load(TINY, { backend: 'wasm', keep: false, loras });
    try {
      return await draw(other);
    } finally {
      await other.dispose();
    }
  };

  it('draws with each set what a fresh load with it draws, and off again the first picture, to the bit', async () => {
    const seen = new Set([plain]);
    const sets = [[lora(1)], [lora(1, 0.5)], [lora(1, 0.5), lora(2, -0.75)]];
    for (const set of sets) {
      await sd.setLoras(set);
      const drawn = await draw(sd);
      ok(drawn === (await fresh(set)), `${set.length} LoRAs, changed, are those of a fresh load`);
      seen.add(drawn);
    }
    equal(seen.size, 1 + sets.length, 'every set draws another picture');
    await sd.setLoras([]);
    ok((await draw(sd)) === plain, 'without any it is the model itself');
  });

  it('reads them from a URL, and changes them between two runs in the order of the calls', async () => {
    const url = URL.createObjectURL(loraFile(1));
    const drawn = await Promise.all([
      sd.setLoras([{ source: url }]).then(() => ''),
      draw(sd),
      sd.setLoras([]).then(() => ''),
      draw(sd),
    ]);
    URL.revokeObjectURL(url);
    ok(drawn[1] === (await fresh([lora(1)])));
    ok(drawn[3] === plain);
  });

  it('refuses a bad file by its code and leaves the model as it was, with LoRAs and without', async () => {
    for (const worn of [[], [lora(3)]]) {
      await sd.setLoras(worn);
      const before = await draw(sd);
      const torn = new File([await loraFile(1).slice(0, 300).arrayBuffer()], 'torn.safetensors');
      const text = new File(['<!doctype html>'], 'page.safetensors');
      const wrong: [LoraOption[], string][] = [
        [[lora(1), { source: [torn] }], 'INVALID_FILE'],
        [[{ source: [text] }], 'INVALID_FILE'],
        [[lora(1), lora(2, 1, ['lora_unet_nowhere'])], 'WEIGHTS_MISMATCH'],
        [[lora(1, 1, ['lora_te2_text_model_encoder_layers_1_mlp_fc1'])], 'WEIGHTS_MISMATCH'],
        [[{ source: '/tests/fixtures/no-such-lora.safetensors' }], 'MISSING_FILE'],
        [[lora(1, NaN)], 'INVALID_OPTION'],
      ];
      for (const [set, code] of wrong) {
        equal(await codeOf(sd.setLoras(set)), code);
        ok((await draw(sd)) === before, `as before the ${code}`);
      }
    }
    await sd.setLoras([]);
    const [{ options, rgb }] = await references();
    ok(farthest((await sd.generate(options)).images, rgb) <= 1);
  });
});
