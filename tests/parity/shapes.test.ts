import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Graph } from '../../sdk/graph/index.ts';
import * as models from '../../sdk/models/index.ts';
import { builtInConfigs, type ModelConfigs } from '../../sdk/formats/names/configs.ts';
import type { Detected } from '../../sdk/formats/names/detect.ts';
import { goldenFile } from './fixtures.ts';

const tables = goldenFile<Record<string, Record<string, number[]>>>('shapes');

const configs = (family: Detected['family'], inChannels = 4): ModelConfigs =>
  builtInConfigs({ family, inChannels, predictionType: 'epsilon', zeroTerminalSnr: false });
const unet = ({ unet: config }: ModelConfigs): Graph[] => [
  models.traceUNet(models.parseUNetConfig(config), { batch: 1, height: 8, width: 8, tokens: 1 }),
];
const text = ({ textEncoders }: ModelConfigs, part: 'text_encoder' | 'text_encoder_2'): Graph[] => [
  models.traceClipText(models.parseClipTextConfig(textEncoders.get(part)), {
    batch: 1,
    tokens: 1,
    skip: 0,
    finalNorm: true,
    pooled: part === 'text_encoder_2' ? 'projected' : undefined,
  }),
];
const vae = (config: models.ConfigJson): Graph[] => {
  const parsed = models.parseVaeConfig(config);
  return [
    models.traceVaeEncoder(parsed, { batch: 1, height: 8, width: 8 }),
    models.traceVaeDecoder(parsed, { batch: 1, height: 1, width: 1 }),
  ];
};
const taesd = (): Graph[] => [
  models.traceTaesdEncoder(models.parseTaesdConfig({}), { batch: 1, height: 8, width: 8 }),
  models.traceTaesdDecoder(models.parseTaesdConfig({}), { batch: 1, height: 1, width: 1 }),
];

const cases: Record<string, () => Graph[]> = {
  sd15: () => unet(configs('sd1')),
  sd15_inpaint: () => unet(configs('sd1', 9)),
  sd21: () => unet(configs('sd2')),
  sdxl: () => unet(configs('sdxl')),
  vae: () => vae(configs('sd1').vae),
  taesd,
  clipL: () => text(configs('sd1'), 'text_encoder'),
  openclipH23: () => text(configs('sd2'), 'text_encoder'),
  bigG: () => text(configs('sdxl'), 'text_encoder_2'),
};

// Every parameter that the published models have, by name and shape, and none besides.
for (const [name, trace] of Object.entries(cases))
  test(`the parameters of ${name} are those of the published model`, () => {
    const bare = (param: string): string => param.replace(/^text_model\./, '');
    const named = trace().flatMap((graph) => [...graph.params.values()]);
    const actual = named.map((param) => [bare(param.name), [...param.shape]] as const);
    const expected = Object.entries(tables[name]).map(([param, shape]) => [bare(param), shape]);
    assert.deepEqual(
      Object.fromEntries([...actual].sort()),
      Object.fromEntries([...expected].sort() as [string, number[]][]),
    );
  });
