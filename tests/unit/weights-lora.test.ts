import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import type { PackedParam, WeightDtype } from '../../sdk/backends/backend.ts';
import type { ParameterSpec } from '../../sdk/weights/check.ts';
import { packParameters } from '../../sdk/weights/importer.ts';
import {
  loraPart,
  mergeLoras,
  parseLora,
  type Lora,
  type LoraUse,
} from '../../sdk/formats/lora.ts';
import { loraNames, type LoraPart, type LoraTables } from '../../sdk/formats/lora-names.ts';
import { openTensors } from '../../sdk/weights/open.ts';
import { unpackTensor } from '../../sdk/weights/pack.ts';
import { SafetensorsReader } from '../../sdk/weights/safetensors-reader.ts';
import { MemorySource } from '../../sdk/weights/source.ts';
import type { RawTensor, TensorReader } from '../../sdk/weights/tensor.ts';
import { parseTextualInversion } from '../../sdk/formats/textual-inversion.ts';
import { fails } from './weights-helpers.ts';
import { formats } from '../support/formats.ts';

const read = (path: string): Uint8Array<ArrayBuffer> =>
  new Uint8Array(gunzipSync(readFileSync(new URL(`../fixtures/${path}.gz`, import.meta.url))));
const open = (path: string): Promise<TensorReader> =>
  openTensors(new MemorySource(read(path)), formats);
const json = (path: string): unknown => JSON.parse(new TextDecoder().decode(read(path)));

async function all(reader: TensorReader): Promise<RawTensor[]> {
  const tensors: RawTensor[] = [];
  for await (const tensor of reader.tensors()) tensors.push(tensor);
  return tensors;
}

const readers = new Map<LoraPart, TensorReader>([
  ['unet', await open('checkpoints/diffusers/unet/diffusion_pytorch_model.safetensors')],
  ['text_encoder', await open('checkpoints/diffusers/text_encoder/model.safetensors')],
]);
const kindOf = (name: string, shape: readonly number[]): ParameterSpec['kind'] =>
  shape.length === 1 ? 'vector' : name.includes('embeddings.') ? 'table' : 'matrix';
const tables = new Map<LoraPart, Map<string, ParameterSpec>>();
for (const [part, reader] of readers)
  tables.set(
    part,
    new Map(
      [...reader.names()].map((name) => {
        const { shape } = reader.info(name)!;
        return [name, { shape, kind: kindOf(name, shape) }];
      }),
    ),
  );

const parse = async (file: string): Promise<Lora> => {
  const reader = await SafetensorsReader.open(new MemorySource(read(`loras/${file}`)));
  return parseLora(await all(reader), tables, reader.metadata);
};
const expected = json('loras/expected.json') as {
  strength: { unet: number; text_encoder: number };
  alpha: Record<string, number[]>;
  rank: Record<string, number[]>;
};

async function merged(
  uses: readonly LoraUse[],
  dtype: WeightDtype = 'f32',
): Promise<Map<string, PackedParam>> {
  const out = new Map<string, PackedParam>();
  for (const [part, reader] of readers) {
    const packed = packParameters(reader, tables.get(part)!, dtype);
    for await (const p of mergeLoras(packed, part, uses)) out.set(`${part}/${p.name}`, p);
  }
  return out;
}
const use = (lora: Lora, factor = 1): LoraUse => ({
  lora,
  unet: expected.strength.unet * factor,
  text: expected.strength.text_encoder * factor,
});

for (const [file, scaling] of [
  ['kohya.safetensors', 'alpha'],
  ['kohya-sgm.safetensors', 'alpha'],
  ['peft-alpha.safetensors', 'alpha'],
  ['peft.safetensors', 'rank'],
  ['linear-layer.safetensors', 'rank'],
  ['old.safetensors', 'rank'],
] as const)
  test(`${file} merges as the formula says, and changes nothing else`, async () => {
    const lora = await parse(file);
    const changed = new Set([...lora].flatMap(([part, deltas]) => [...deltas.keys()].map((name) => `${part}/${name}`))); // prettier-ignore
    assert.equal(changed.size, file.startsWith('old') ? 5 : 9);
    const [before, after] = [await merged([]), await merged([use(lora)])];
    for (const [name, parameter] of after)
      if (changed.has(name))
        unpackTensor(parameter).forEach((value, i) => {
          const wanted = expected[scaling][name][i];
          assert.ok(Math.abs(value - wanted) <= 2e-6, `${name}: ${value} for ${wanted}`);
        });
      else assert.deepEqual(parameter, before.get(name));
  });

test('several at once add up, and strength 0 is none', async () => {
  const lora = await parse('kohya.safetensors');
  const once = await merged([use(lora)]);
  const halves = await merged([use(lora, 0.5), use(lora, 0.5), use(lora, 0)]);
  for (const [name, parameter] of once) {
    const other = unpackTensor(halves.get(name)!);
    unpackTensor(parameter).forEach((v, i) => assert.ok(Math.abs(v - other[i]) < 1e-5, name));
  }
  assert.deepEqual(await merged([use(lora, 0)]), await merged([]));
});

test('what is stored as f16 or i8 stays so', async () => {
  const lora = await parse('kohya.safetensors');
  for (const dtype of ['f16', 'i8'] as const)
    for (const [name, parameter] of await merged([use(lora)], dtype)) {
      const [plain] = [(await merged([], dtype)).get(name)!];
      assert.equal(parameter.dtype, plain.dtype);
      assert.equal(parameter.data.length, plain.data.length);
      assert.equal(parameter.scales?.length, plain.scales?.length);
      break;
    }
});

test('no two modules share a name in any spelling', () => {
  const names = loraNames(tables as LoraTables);
  const kohya = [...names].filter(([name]) =>
    /^lora_(unet_(down_blocks|up_blocks|mid_block)|te_)/.test(name),
  );
  const modules = new Set(kohya.map(([, { part, parameter }]) => `${part}/${parameter}`));
  assert.equal(kohya.length, modules.size);
});

test('every name tells its part', () => {
  for (const [name, { part }] of loraNames(tables as LoraTables))
    assert.equal(loraPart(name), part);
  assert.equal(loraPart('lora_te2_text_model_encoder'), 'text_encoder_2');
  assert.equal(loraPart('text_encoder_2.text_model'), 'text_encoder_2');
});

const tensor = (name: string, shape: number[]): RawTensor => ({
  name,
  dtype: 'F32',
  shape,
  bytes: new Uint8Array(4 * shape.reduce((a, b) => a * b, 1)),
});
const MODULE = 'lora_te_text_model_encoder_layers_0_self_attn_q_proj';

test('other kinds are refused by name', () => {
  for (const [suffix, kind] of [
    ['hada_w1_a', /a LoHa/],
    ['lokr_w1', /a LoKr/],
    ['dora_scale', /a DoRA/],
    ['lora_magnitude_vector.weight', /a DoRA/],
    ['lora_mid.weight', /Tucker/],
    ['oft_blocks', /an OFT/],
    ['diff', /full difference/],
    ['what', /not a LoRA/],
  ] as const)
    assert.throws(
      () => parseLora([tensor(`${MODULE}.${suffix}`, [2, 2])], tables),
      fails('UNSUPPORTED_FORMAT', kind),
    );
  assert.throws(() => parseLora([], tables), fails('INVALID_FILE', /holds no LoRA/));
});

test('a LoRA of another model is refused with all that does not fit', () => {
  assert.throws(
    () =>
      parseLora(
        [
          tensor(`${MODULE}.lora_down.weight`, [2, 9]),
          tensor(`${MODULE}.lora_up.weight`, [9, 2]),
          tensor('lora_unet_nowhere.lora_down.weight', [2, 2]),
          tensor('lora_te_text_model_encoder_layers_0_mlp_fc1.lora_up.weight', [16, 2]),
        ],
        tables,
      ),
    fails(
      'WEIGHTS_MISMATCH',
      /halves \[9,2\] and \[2,9\].*lacks its down half.*nowhere is not part/,
    ),
  );
});

test('textual inversions of every kind', async () => {
  const vectors = json('loras/vectors.json') as number[];
  for (const [file, token, count] of [
    ['diffusers.bin', '<cat>', 1],
    ['diffusers-embedding.safetensors', '<cat>', 3],
    ['a1111.safetensors', undefined, 3],
    ['a1111.pt', undefined, 3],
    ['a1111-old.pt', undefined, 3],
    ['sdxl.safetensors', undefined, 3],
  ] as const) {
    const it = parseTextualInversion(await all(await open(`loras/${file}`)));
    assert.equal(it.token, token, file);
    const first = it.vectors.get('text_encoder')!;
    assert.deepEqual([first.count, first.dim], [count, 8]);
    assert.deepEqual([...first.data], vectors.slice(0, count * 8).map(Math.fround));
    assert.equal(it.vectors.get('text_encoder_2')?.dim, file === 'sdxl.safetensors' ? 16 : undefined); // prettier-ignore
  }
  assert.throws(
    () => parseTextualInversion([tensor('a', [8]), tensor('b', [8])]),
    fails('UNSUPPORTED_FORMAT', /holds 2 tensors/),
  );
  assert.throws(
    () => parseTextualInversion([tensor('emb_params', [2, 2, 2])]),
    fails('INVALID_FILE', /no list of embeddings/),
  );
});
