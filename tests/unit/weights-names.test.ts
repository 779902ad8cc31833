import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import {
  parseClipTextConfig,
  parseUNetConfig,
  parseVaeConfig,
  traceClipText,
  traceUNet,
  traceVaeDecoder,
  traceVaeEncoder,
} from '../../sdk/models/index.ts';
import { builtInConfigs, type ModelConfigs } from '../../sdk/formats/names/configs.ts';
import { detectFamily, type Family } from '../../sdk/formats/names/detect.ts';
import { resolveNames } from '../../sdk/formats/names/resolve.ts';
import { ldmUNetName, unetLayout } from '../../sdk/formats/names/unet.ts';
import { ldmVaeOrigin } from '../../sdk/formats/names/vae.ts';
import type { ParameterTable } from '../../sdk/weights/check.ts';
import type { TensorInfo, TensorReader } from '../../sdk/weights/tensor.ts';
import { fails, readOne } from './weights-helpers.ts';

type Shapes = Record<string, number[]>;
const fixture = JSON.parse(
  gunzipSync(
    readFileSync(new URL('../fixtures/checkpoint-names.json.gz', import.meta.url)),
  ).toString(),
) as { shapes: Record<string, Shapes>; maps: Record<string, Record<string, string>> };

for (const model of ['sd15', 'sd15_inpaint', 'sd21', 'sdxl', 'refiner'])
  test(`every UNet name of ${model}, as diffusers' own converter maps it`, () => {
    const map = fixture.maps[model];
    const layout = unetLayout(Object.values(map));
    for (const [ldm, name] of Object.entries(map))
      assert.equal(`model.diffusion_model.${ldmUNetName(layout, name)}`, ldm);
  });

test('every VAE name, as the converter maps it', () => {
  const map = fixture.maps.vae;
  assert.equal(Object.keys(map).length, 248);
  for (const [ldm, name] of Object.entries(map))
    assert.equal(`first_stage_model.${ldmVaeOrigin(name, 4).source}`, ldm);
});

/** The golden maps of the specification, where they are at hand. */
const golden = process.env.GOLDEN_MAPS;
test('agrees with the golden maps', { skip: !golden || !existsSync(golden) }, () => {
  const read = (name: string): never =>
    JSON.parse(readFileSync(`${golden}/${name}.json`, 'utf8')) as never;
  assert.deepEqual(read('sd15_unet_ldm_to_diffusers'), fixture.maps.sd15);
  assert.deepEqual(read('vae_ldm_to_diffusers'), fixture.maps.vae);
  for (const [file, model] of [
    ['sd15', 'sd15'],
    ['sd15_inpaint', 'sd15_inpaint'],
    ['sd21', 'sd21'],
    ['sdxl', 'sdxl'],
    ['vae', 'vae'],
    ['taesd', 'taesd'],
  ])
    assert.deepEqual(read(`shapes_${file}`), fixture.shapes[model]);
  for (const [file, model] of [
    ['clipL', 'clip_l'],
    ['openclipH23', 'open_clip_h'],
    ['bigG', 'open_clip_big_g'],
  ]) {
    const shapes: Shapes = read(`shapes_${file}`);
    const prefixed = Object.entries(shapes).map(([name, shape]) => [
      name.startsWith('text_') ? name : `text_model.${name}`,
      shape,
    ]);
    assert.deepEqual(Object.fromEntries(prefixed), fixture.shapes[model]);
  }
});

const families: [Family, string, number][] = [
  ['sd1', 'sd15', 4],
  ['sd1', 'sd15_inpaint', 9],
  ['sd2', 'sd21', 4],
  ['sdxl', 'sdxl', 4],
  ['sdxl-refiner', 'refiner', 4],
];
const encoders: Record<string, string> = { 768: 'clip_l', 1024: 'open_clip_h', 1280: 'open_clip_big_g' }; // prettier-ignore

for (const [family, model, inChannels] of families)
  test(`the built-in configs of ${model} give its true parameters`, () => {
    const configs = builtInConfigs({
      family,
      inChannels,
      predictionType: 'epsilon',
      zeroTerminalSnr: false,
    });
    const tables = tablesOf(configs, family);
    const shapes = (table: ParameterTable): Shapes =>
      Object.fromEntries([...table].map(([name, { shape }]) => [name, [...shape]]));
    const sorted = (s: Shapes): Shapes =>
      Object.fromEntries(Object.entries(s).sort(([a], [b]) => (a < b ? -1 : 1)));
    assert.deepEqual(sorted(shapes(tables.unet)), sorted(fixture.shapes[model]));
    assert.deepEqual(sorted(shapes(tables.vae)), sorted(fixture.shapes.vae));
    for (const [name, table] of tables.text) {
      const width = configs.textEncoders.get(name)!.hidden_size as number;
      assert.deepEqual(sorted(shapes(table)), sorted(fixture.shapes[encoders[width]]));
    }
  });

function tablesOf(
  configs: ModelConfigs,
  family: Family,
): {
  unet: ParameterTable;
  vae: ParameterTable;
  text: Map<'text_encoder' | 'text_encoder_2', ParameterTable>;
} {
  const picture = { batch: 1, height: 64, width: 64 };
  // The refiner is told one number less: its aesthetic score stands for the target's two.
  const timeIds = family === 'sdxl-refiner' ? 5 : 6;
  const unet = parseUNetConfig(configs.unet, timeIds);
  const vae = parseVaeConfig(configs.vae);
  const text = new Map<'text_encoder' | 'text_encoder_2', ParameterTable>();
  for (const [name, config] of configs.textEncoders)
    text.set(
      name,
      traceClipText(parseClipTextConfig(config), {
        batch: 1,
        tokens: 77,
        skip: 0,
        finalNorm: true,
        pooled: name === 'text_encoder_2' ? 'projected' : 'plain',
      }).params,
    );
  return {
    unet: traceUNet(unet, { ...picture, tokens: 77, timeIds }).params,
    vae: new Map([
      ...traceVaeEncoder(vae, { ...picture, height: 64, width: 64 }).params,
      ...traceVaeDecoder(vae, { batch: 1, height: 8, width: 8 }).params,
    ]),
    text,
  };
}

/** A file that has names, shapes and dtypes, and no bytes. */
function headerOnly(tensors: Iterable<readonly [string, readonly number[]]>): TensorReader {
  const infos = new Map<string, TensorInfo>();
  for (const [name, shape] of tensors) infos.set(name, { dtype: 'F32', shape });
  return {
    names: () => infos.keys(),
    info: (name) => infos.get(name),
    // eslint-disable-next-line require-yield
    async *tensors() {
      throw new Error('no bytes');
    },
  };
}

const table = (model: string): ParameterTable =>
  new Map(
    Object.entries(fixture.shapes[model]).map(([name, shape]) => [
      name,
      { shape, kind: 'matrix' as const },
    ]),
  );

/** Names and shapes of a whole single-file checkpoint. */
function singleFile(model: string, texts: [string, Shapes][]): Map<string, readonly number[]> {
  const file = new Map<string, readonly number[]>();
  for (const [ldm, name] of Object.entries(fixture.maps[model]))
    file.set(ldm, fixture.shapes[model][name]);
  for (const [ldm, name] of Object.entries(fixture.maps.vae)) {
    const shape = fixture.shapes.vae[name];
    file.set(ldm, /mid\.attn_1\..+\.weight$/.test(ldm) && shape.length === 2 ? [...shape, 1, 1] : shape); // prettier-ignore
  }
  for (const name of ['betas', 'alphas_cumprod', 'logvar', 'first_stage_model.loss.logvar'])
    file.set(name, [1000]);
  for (const [prefix, shapes] of texts)
    for (const [name, shape] of Object.entries(shapes)) file.set(prefix + name, shape);
  return file;
}

function openClip(width: number, layers: number, projection: boolean): Shapes {
  const shapes: Shapes = {
    positional_embedding: [77, width],
    'token_embedding.weight': [49408, width],
    'ln_final.weight': [width],
    'ln_final.bias': [width],
    logit_scale: [],
  };
  if (projection) shapes.text_projection = [width, width];
  for (let i = 0; i < layers; i++) {
    const block = `transformer.resblocks.${i}`;
    for (const ln of ['ln_1', 'ln_2'])
      for (const kind of ['weight', 'bias']) shapes[`${block}.${ln}.${kind}`] = [width];
    shapes[`${block}.attn.in_proj_weight`] = [3 * width, width];
    shapes[`${block}.attn.in_proj_bias`] = [3 * width];
    shapes[`${block}.attn.out_proj.weight`] = [width, width];
    shapes[`${block}.attn.out_proj.bias`] = [width];
    shapes[`${block}.mlp.c_fc.weight`] = [4 * width, width];
    shapes[`${block}.mlp.c_fc.bias`] = [4 * width];
    shapes[`${block}.mlp.c_proj.weight`] = [width, 4 * width];
    shapes[`${block}.mlp.c_proj.bias`] = [width];
  }
  return shapes;
}

const clipL = fixture.shapes.clip_l;
const positionIds = { 'text_model.embeddings.position_ids': [1, 77] };
const withoutTextModel = Object.fromEntries(
  Object.entries(clipL).map(([name, shape]) => [name.replace('text_model.', ''), shape]),
);
const checkpoints: [string, Family, string, [string, Shapes][]][] = [
  ['SD 1.5', 'sd1', 'sd15', [['cond_stage_model.transformer.', { ...clipL, ...positionIds }]]],
  ['SD 1.5 without text_model.', 'sd1', 'sd15', [['cond_stage_model.transformer.', withoutTextModel]]], // prettier-ignore
  ['SD 1.5 inpainting', 'sd1', 'sd15_inpaint', [['cond_stage_model.transformer.', clipL]]],
  ['SD 2.1', 'sd2', 'sd21', [['cond_stage_model.model.', openClip(1024, 24, true)]]],
  [
    'SDXL',
    'sdxl',
    'sdxl',
    [
      ['conditioner.embedders.0.transformer.', { ...clipL, ...positionIds }],
      ['conditioner.embedders.1.model.', openClip(1280, 32, true)],
    ],
  ],
  ['the SDXL refiner', 'sdxl-refiner', 'refiner', [['conditioner.embedders.0.model.', openClip(1280, 32, true)]]], // prettier-ignore
];

for (const [what, family, model, texts] of checkpoints)
  test(`a single file of ${what} is recognised and complete`, () => {
    const reader = headerOnly(singleFile(model, texts));
    const detected = detectFamily(reader);
    assert.equal(detected.family, family);
    assert.equal(detected.inChannels, model === 'sd15_inpaint' ? 9 : 4);
    assert.equal(detected.predictionType, family === 'sd2' ? 'v_prediction' : 'epsilon');
    const resolved = (kind: 'unet' | 'vae' | 'text', expected: ParameterTable): void => {
      const found = resolveNames(kind, reader, expected, { what: kind });
      assert.deepEqual(
        new Map([...found.names()].map((name) => [name, [...found.info(name)!.shape]])),
        new Map([...expected].map(([name, { shape }]) => [name, [...shape]])),
      );
    };
    resolved('unet', table(model));
    resolved('vae', table('vae'));
    for (const [, shapes] of texts) {
      const width = Object.values(shapes)[0][1];
      resolved('text', table(encoders[width]));
    }
  });

test('the SD 2 base count of steps means epsilon; SDXL files say v_pred and ztsnr', () => {
  const sd2 = headerOnly(singleFile('sd21', []));
  const metadata = new Map([['global_step', '875000']]);
  assert.equal(detectFamily({ ...sd2, metadata }).predictionType, 'epsilon');
  const xl = singleFile('sdxl', []);
  xl.set('v_pred', []).set('ztsnr', []);
  const detected = detectFamily(headerOnly(xl));
  assert.equal(detected.predictionType, 'v_prediction');
  assert.equal(detected.zeroTerminalSnr, true);
  assert.equal(builtInConfigs(detected).scheduler.rescale_betas_zero_snr, true);
});

test('averaged weights are taken where there are any, unless raw ones are asked for', async () => {
  const file = singleFile('sd15', []);
  for (const name of Object.keys(fixture.maps.sd15))
    file.set(`model_ema.${name.slice('model.'.length).replaceAll('.', '')}`, file.get(name)!);
  file.set('model_ema.decay', []).set('model_ema.num_updates', []);
  const readTensors = async (weights: 'ema' | 'raw'): Promise<string[]> => {
    const asked: string[] = [];
    const reader = headerOnly(file);
    const spy: TensorReader = {
      ...reader,
      tensors: (names) => {
        asked.push(...names!);
        return reader.tensors();
      },
    };
    const found = resolveNames('unet', spy, table('sd15'), { what: 'the UNet', weights });
    await assert.rejects(readOne(found, 'conv_in.weight'), /no bytes/);
    return asked;
  };
  assert.deepEqual(await readTensors('ema'), ['model_ema.diffusion_modelinput_blocks00weight']);
  assert.deepEqual(await readTensors('raw'), ['model.diffusion_model.input_blocks.0.0.weight']);

  file.delete('model_ema.diffusion_modelinput_blocks00weight');
  assert.throws(
    () => resolveNames('unet', headerOnly(file), table('sd15'), { what: 'the UNet' }),
    fails('WEIGHTS_MISMATCH', /685 of 686/),
  );
});

test('parts on their own: LDM and diffusers names, old attention names, no prefix', () => {
  const ldm = new Map<string, readonly number[]>();
  for (const [name, shape] of singleFile('sd15', []))
    if (name.startsWith('first_stage_model.')) ldm.set(name.slice('first_stage_model.'.length), shape); // prettier-ignore
  const old = Object.entries(fixture.shapes.vae).map(([name, shape]): [string, number[]] => [
    name
      .replace('.to_q.', '.query.')
      .replace('.to_k.', '.key.')
      .replace('.to_v.', '.value.')
      .replace('.to_out.0.', '.proj_attn.'),
    shape,
  ]);
  for (const file of [ldm, old, Object.entries(fixture.shapes.vae)]) {
    const found = resolveNames('vae', headerOnly(file), table('vae'), { what: 'the VAE' });
    assert.equal([...found.names()].length, 248);
  }
});

test('strays, gaps and shapes of a single file are reported together', () => {
  const file = singleFile('sd15', []);
  file.delete('model.diffusion_model.out.2.bias');
  file.set('model.diffusion_model.stray.weight', [3]);
  file.set('model.diffusion_model.out.0.bias', [321]);
  assert.throws(
    () => resolveNames('unet', headerOnly(file), table('sd15'), { what: 'the UNet' }),
    fails(
      'WEIGHTS_MISMATCH',
      /1 missing: conv_out\.bias\..*not of this model: model\.diffusion_model\.stray\.weight.*conv_norm_out\.bias is \[321\]/,
    ),
  );
});

test('other models are refused by name', () => {
  for (const [name, what] of [
    ['double_blocks.0.img_attn.qkv.weight', /Flux/],
    ['model.diffusion_model.joint_blocks.0.x.weight', /Stable Diffusion 3/],
    ['control_model.time_embed.0.weight', /ControlNet/],
    ['lora_unet_down_blocks_0.lora_up.weight', /LoRA/],
    ['edm_mean', /Playground/],
    ['anything', /no Stable Diffusion UNet/],
  ] as const)
    assert.throws(() => detectFamily(headerOnly([[name, [1]]])), fails('UNSUPPORTED_FORMAT', what));
});
