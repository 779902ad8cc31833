/**
 * The worker of full-size.mjs: loads a diffusers folder part by part into the CPU engine, runs each
 * part once more than it warms up, and compares with what PyTorch computed.
 */
import type { WeightDtype } from '../../sdk/backends/backend.ts';
import { createWasmBackend } from '../../sdk/backends/wasm/index.ts';
import type { WasmProgram } from '../../sdk/backends/wasm/program.ts';
import { serveThread, type ThreadStart } from '../../sdk/backends/wasm/thread.ts';
import type { Graph, Step } from '../../sdk/graph/index.ts';
import * as models from '../../sdk/models/index.ts';
import { toNhwc } from '../../sdk/pipeline/layout.ts';
import type { PartName } from '../../sdk/pipeline/model-source.ts';
import { Part } from '../../sdk/pipeline/part.ts';
import { openDiffusersFolder } from '../../sdk/weights/folder.ts';
import { checkpointModel } from '../../sdk/worker/checkpoint-model.ts';
import { UrlFiles } from '../../sdk/weights/files.ts';
import { SafetensorsReader } from '../../sdk/weights/safetensors-reader.ts';
import { fetchBuilds } from './fetch-builds.ts';
import { formats } from '../support/formats.ts';

interface Start {
  base: string;
  threads: number;
  dtype: WeightDtype;
  runs: number;
  profiled: boolean;
  /** Edge of the latents; default what the folder holds, which is compared. */
  latents?: number;
  /** The one part to run; default all. */
  only?: PartName;
}

onmessage = ({ data }: MessageEvent<Start | ThreadStart>) => {
  if ('scratch' in data) serveThread(self as never, data);
  else
    check(data).then(
      (report) => postMessage({ report }),
      (error: unknown) => postMessage({ error: error instanceof Error ? error.stack : error }),
    );
};

async function check({
  base,
  threads,
  dtype,
  runs,
  profiled,
  latents,
  only,
}: Start): Promise<unknown> {
  const backend = await createWasmBackend({
    modules: await fetchBuilds(base),
    threads,
    spawnThread: () => new Worker(location.href, { type: 'module' }),
  });
  const files = new UrlFiles(new URL('/model/', base));
  const tokenizer = await WebAssembly.compileStreaming(fetch('/build/wasm/tokenizer.wasm'));
  const source = checkpointModel(await openDiffusersFolder(files, { formats }), {
    tokenizer,
    formats,
  });
  const reader = await SafetensorsReader.open(await files.open('expected.safetensors'));
  const expected = async (name: string) => {
    for await (const { bytes, shape } of reader.tensors([name]))
      return { bytes, shape, values: new Float32Array(bytes.buffer) };
    throw new Error(`${name} is missing`);
  };
  const report: Record<string, unknown> = { engine: backend.description, dtype };

  /** Loads a part, runs it, and says how far off and how long. */
  const measure = async (
    name: PartName,
    graph: Graph,
    inputs: Record<string, Float32Array | Int32Array>,
    output: string,
    truth: Float32Array | undefined,
  ): Promise<void> => {
    if (only && only !== name) return;
    const loading = performance.now();
    const tables =
      name === 'vae'
        ? [
            ...graph.params,
            ...models.traceVaeEncoder(vae, { batch: 1, height: 8, width: 8 }).params,
          ]
        : [...graph.params];
    const part = await Part.load(source, name, new Map(tables), backend, { dtype });
    const loaded = performance.now();
    const program = await part.program('one', () => graph);
    const compiled = performance.now();
    for (const [input, data] of Object.entries(inputs)) program.write(input, data);
    const seconds: number[] = [];
    for (let i = 0; i < runs; i++) {
      const began = performance.now();
      await program.run();
      seconds.push((performance.now() - began) / 1000);
    }
    const profile = profiled ? await (program as WasmProgram).profile() : undefined;
    const actual = await program.read(output);
    report[name] = {
      relativeRms: truth && relativeRms(actual, truth),
      loadSeconds: (loaded - loading) / 1000,
      compileSeconds: (compiled - loaded) / 1000,
      runSeconds: seconds,
      profile: profile && bySteps(profile),
      ...program.report,
    };
    part.dispose();
  };

  const vae = models.parseVaeConfig(await source.config('vae'));
  const clip = models.parseClipTextConfig(await source.config('text_encoder'));
  const unet = models.parseUNetConfig(await source.config('unet'));
  const ids = new Int32Array((await expected('ids')).bytes.buffer);
  const hidden = await expected('hidden');
  await measure(
    'text_encoder',
    models.traceClipText(clip, { batch: 1, tokens: 77, skip: 0, finalNorm: true }),
    { ids },
    'hidden',
    hidden.values,
  );

  // At a size of its own there is nothing to compare with: the stored numbers again and again.
  const drawn = async (name: string): Promise<{ values: Float32Array; shape: number[] }> => {
    const { values, shape } = await expected(name);
    if (!latents) return { values, shape: [...shape] };
    const resized = new Float32Array(4 * latents ** 2).map((_, i) => values[i % values.length]);
    return { values: resized, shape: [1, 4, latents, latents] };
  };
  const sample = await drawn('sample');
  const [batch, , height, width] = sample.shape;
  const noise = await expected('noise');
  await measure(
    'unet',
    models.traceUNet(unet, { batch, height, width, tokens: 77 }),
    {
      sample: toNhwc(sample.values, sample.shape),
      timestep: (await expected('timestep')).values,
      context: hidden.values,
    },
    'sample',
    latents ? undefined : toNhwc(noise.values, noise.shape),
  );

  const start = await drawn('latents');
  const image = await expected('image');
  await measure(
    'vae',
    models.traceVaeDecoder(vae, { batch, height, width }),
    { latents: toNhwc(start.values, start.shape) },
    'image',
    latents ? undefined : toNhwc(image.values, image.shape),
  );
  await backend.dispose();
  return report;
}

/** What a profile calls a step. */
function nameOf({ op, out }: Step): string {
  const size = out.shape.slice(1).join('×');
  if (op.kind === 'attention') return `attention ${size}, ${op.k.shape[1]} keys`;
  if (op.kind !== 'gemm') return `${op.kind} ${size}`;
  const from = op.x.channels + (op.skip?.channels ?? 0);
  const [kernel] = op.geometry?.kernel ?? [0];
  return `${kernel ? `conv ${kernel}×${kernel}` : 'linear'} ${from}→${size}`;
}

/** Milliseconds by step, the most first, with how often each stands in the program. */
function bySteps(profile: Awaited<ReturnType<WasmProgram['profile']>>): string[] {
  const sums = new Map<string, number>();
  for (const { step, ms } of profile) {
    const name = nameOf(step);
    sums.set(name, (sums.get(name) ?? 0) + ms);
  }
  const total = profile.reduce((sum, { ms }) => sum + ms, 0);
  return [`${total.toFixed(0)} ms in all`].concat(
    [...sums]
      .sort(([, a], [, b]) => b - a)
      .map(([step, ms]) => `${ms.toFixed(0).padStart(6)} ms  ${step}`),
  );
}

function relativeRms(actual: Float32Array, expected: Float32Array): number {
  let [error, size] = [0, 0];
  expected.forEach((x, i) => {
    error += (actual[i] - x) ** 2;
    size += x * x;
  });
  return Math.sqrt(error / size);
}
