import type { Backend } from '../../sdk/backends/backend.ts';
import type { Graph } from '../../sdk/graph/index.ts';
import * as models from '../../sdk/models/index.ts';
import { toNchw, toNhwc } from '../../sdk/pipeline/layout.ts';
import { mapTiles } from '../../sdk/pipeline/vae-tiles.ts';
import { TorchGenerator } from '../../sdk/random/index.ts';
import type { Report, Unsupported } from './golden-report.ts';
import { loadTinyWeights, maxError, tinyWeights } from './tiny-weights.ts';

interface Tensor {
  shape: number[];
  data: number[];
}
interface Case {
  config: Record<string, unknown>;
  inputs: Record<string, unknown>;
  outputs: Record<string, Tensor>;
}

/** Tolerances of the issue: float64 against PyTorch's float32, and float32 engines. */
const TOLERANCE = { reference: 1e-5, wasm: 1e-4, webgpu: 1e-4 };

/** Runs a file in the format of models.json: each case carries a config, inputs and outputs. */
export async function run(
  json: { cases: Record<string, Case> },
  report: Report,
  unsupported: Unsupported,
  backend: Backend,
): Promise<void> {
  for (const [name, { config, inputs, outputs }] of Object.entries(json.cases)) {
    const check = (output: string, actual: Float32Array): void =>
      report(`${name}/${output}`, maxError(actual, outputs[output].data), TOLERANCE[backend.name]);
    for (const output of Object.keys(outputs)) {
      const actual = await compute(config, inputs, output, outputs[output].shape, backend);
      if (actual) check(output, actual);
      else unsupported(`${name}/${output}`, 'no such output of this model is known');
    }
  }
}

type Compute = Promise<Float32Array | undefined>;

/** What a model is shows in its config's keys. */
function compute(
  config: Record<string, unknown>,
  inputs: Record<string, unknown>,
  output: string,
  shape: number[],
  backend: Backend,
): Compute {
  if ('hidden_size' in config) return clipText(config, inputs, output, backend);
  if ('encoder_block_out_channels' in config) return taesd(config, inputs, output, shape, backend);
  if (JSON.stringify(config.down_block_types ?? '').includes('DownEncoderBlock2D'))
    return vae(config, inputs, output, shape, backend);
  return unet(config, inputs, output, shape, backend);
}

/** Runs a traced model once with weights made by the rule over all of `tables`. */
async function runOnce(
  backend: Backend,
  graph: Graph,
  tables: Graph[],
  inputs: Record<string, Float32Array | Int32Array>,
  output: string,
): Promise<Float32Array> {
  const params = new Map(tables.flatMap((table) => [...table.params]));
  const weights = await loadTinyWeights(backend, graph.params, tinyWeights(params.values()));
  const program = await backend.compile(graph, weights);
  for (const [name, data] of Object.entries(inputs)) program.write(name, data);
  await program.run();
  const result = await program.read(output);
  program.dispose();
  weights.dispose();
  return result;
}

async function clipText(
  json: Record<string, unknown>,
  inputs: Record<string, unknown>,
  output: string,
  backend: Backend,
): Compute {
  const config = models.parseClipTextConfig(json);
  const rows = inputs.input_ids as number[][];
  const ids = Int32Array.from(rows.flat());
  const [batch, tokens] = [rows.length, rows[0].length];
  const skipped = /clip_skip(\d+)/.exec(output);
  const variant =
    {
      last_hidden_state: { skip: 0, finalNorm: true },
      penultimate_hidden_state_no_ln: { skip: 1, finalNorm: false },
      text_embeds: { skip: 0, finalNorm: true, pooled: 'projected' as const },
      pooler_output: { skip: 0, finalNorm: true, pooled: 'plain' as const },
    }[output] ?? (skipped ? { skip: Number(skipped[1]), finalNorm: true } : undefined);
  if (!variant) return undefined;
  const full = models.traceClipText(config, {
    batch,
    tokens,
    skip: 0,
    finalNorm: true,
    pooled: 'projected',
  });
  const graph = models.traceClipText(config, { batch, tokens, ...variant });
  const given: Record<string, Int32Array> = { ids };
  if ('pooled' in variant) given.rows = models.endRows(ids, tokens, config);
  return runOnce(backend, graph, [full], given, 'pooled' in variant ? 'pooled' : 'hidden');
}

async function unet(
  json: Record<string, unknown>,
  inputs: Record<string, unknown>,
  output: string,
  shape: number[],
  backend: Backend,
): Compute {
  const t = /^t=([\d.]+)$/.exec(output);
  if (!t) return undefined;
  const timeIds = numbers(inputs.time_ids);
  const config = models.parseUNetConfig(json, timeIds?.length);
  const sample = tensor(inputs.sample);
  const context = tensor(inputs.encoder_hidden_states);
  const [batch, , height, width] = sample.shape;
  const graph = models.traceUNet(config, {
    batch,
    height,
    width,
    tokens: context.shape[1],
    timeIds: timeIds?.length,
  });
  const given: Record<string, Float32Array> = {
    sample: toNhwc(sample.data, sample.shape),
    context: context.data,
    timestep: new Float32Array(batch).fill(Number(t[1])),
  };
  if (config.added && timeIds) {
    given.pooled = tensor(inputs.text_embeds, batch).data;
    given.timeIds = Float32Array.from(new Array(batch).fill(timeIds).flat());
  }
  if (config.guidanceDim) given.guidance = tensor(inputs.timestep_cond, batch).data;
  return toNchw(await runOnce(backend, graph, [graph], given, 'sample'), shape);
}

async function vae(
  json: Record<string, unknown>,
  inputs: Record<string, unknown>,
  output: string,
  shape: number[],
  backend: Backend,
): Compute {
  const config = models.parseVaeConfig(json);
  const small = { batch: 1, height: 8, width: 8 };
  const scale = models.vaeScale(config);
  const tables = [
    models.traceVaeEncoder(config, { batch: 1, height: 8 * scale, width: 8 * scale }),
    models.traceVaeDecoder(config, small),
  ];
  if (output.startsWith('decoded')) {
    const z = tensor(inputs.z);
    const [batch, , height, width] = z.shape;
    if (output === 'decoded_tiled') {
      const decode = async (tile: Float32Array, tileShape: readonly number[]) => {
        const [b, , h, w] = tileShape;
        const graph = models.traceVaeDecoder(config, { batch: b, height: h, width: w });
        const latents = toNhwc(tile, tileShape);
        const image = await runOnce(backend, graph, tables, { latents }, 'image');
        return toNchw(image, [b, config.imageChannels, h * scale, w * scale]);
      };
      const tiling = {
        from: json.tile_latent_min_size as number,
        to: json.tile_sample_min_size as number,
        overlap: json.tile_overlap_factor as number,
      };
      return mapTiles(z.data, z.shape, tiling, decode);
    }
    const graph = models.traceVaeDecoder(config, { batch, height, width });
    const latents = toNhwc(z.data, z.shape);
    return toNchw(await runOnce(backend, graph, tables, { latents }, 'image'), shape);
  }
  const image = tensor(inputs.image);
  const [batch, , height, width] = image.shape;
  const graph = models.traceVaeEncoder(config, { batch, height, width });
  const given = { image: toNhwc(image.data, image.shape) };
  const nhwc = await runOnce(backend, graph, tables, given, 'moments');
  const channels = 2 * config.latentChannels;
  const latentShape = [batch, channels, height / scale, width / scale];
  const moments = toNchw(nhwc, latentShape);
  if (output === 'moments') return moments;
  if (!output.startsWith('sample')) return undefined;
  const half = [batch, config.latentChannels, ...latentShape.slice(2)];
  const noise = new TorchGenerator(inputs.sample_generator_seed as number).randn(half);
  const perBatch = moments.length / batch / 2;
  return noise.map((n, i) => {
    const at = Math.floor(i / perBatch) * 2 * perBatch + (i % perBatch);
    const logvar = Math.min(20, Math.max(-30, moments[at + perBatch]));
    return moments[at] + Math.exp(0.5 * logvar) * n;
  });
}

async function taesd(
  json: Record<string, unknown>,
  inputs: Record<string, unknown>,
  output: string,
  shape: number[],
  backend: Backend,
): Compute {
  const config = models.parseTaesdConfig(json);
  const tables = [
    models.traceTaesdEncoder(config, { batch: 1, height: 32, width: 32 }),
    models.traceTaesdDecoder(config, { batch: 1, height: 4, width: 4 }),
  ];
  if (output === 'decoded') {
    const z = tensor(inputs.z);
    const [batch, , height, width] = z.shape;
    const graph = models.traceTaesdDecoder(config, { batch, height, width });
    const latents = toNhwc(z.data, z.shape);
    const image = await runOnce(backend, graph, tables, { latents }, 'image');
    return toNchw(image, shape).map((x) => 2 * x - 1);
  }
  if (output !== 'encoded') return undefined;
  const image = tensor(inputs.image);
  const [batch, , height, width] = image.shape;
  const graph = models.traceTaesdEncoder(config, { batch, height, width });
  const given = { image: toNhwc(image.data, image.shape).map((x) => (x + 1) / 2) };
  return toNchw(await runOnce(backend, graph, tables, given, 'latents'), shape);
}

/** Reads "randn seed 1 (2, 4, 16, 16)", with or without "clamp(…,lo,hi)"; B is the batch. */
function tensor(text: unknown, batch = 1): { shape: number[]; data: Float32Array } {
  const source = String(text);
  const drawn = /randn seed (\d+) ?\(([^)]*)\)/.exec(source);
  if (!drawn) throw new Error(`cannot read the input ${source}`);
  const shape = drawn[2].split(',').map((n) => (n.trim() === 'B' ? batch : Number(n)));
  let data = new TorchGenerator(Number(drawn[1])).randn(shape);
  const clamp = /^clamp\(.*,\s*(-?[\d.]+)\s*,\s*(-?[\d.]+)\s*\)$/.exec(source);
  if (clamp) data = data.map((x) => Math.min(Number(clamp[2]), Math.max(Number(clamp[1]), x)));
  return { shape, data };
}

function numbers(value: unknown): number[] | undefined {
  if (value === undefined) return undefined;
  return (typeof value === 'string' ? JSON.parse(value) : value) as number[];
}
