/** The worker of cpu.mjs. Posts lines of text as it goes, and `null` at the end. */
import type { Backend, Program } from '../../sdk/backends/backend.ts';
import { createWasmBackend, type SimdChoice } from '../../sdk/backends/wasm/index.ts';
import { serveThread, type ThreadStart } from '../../sdk/backends/wasm/thread.ts';
import * as models from '../../sdk/models/index.ts';
import { toNhwc } from '../../sdk/pipeline/layout.ts';
import { packTensor } from '../../sdk/weights/pack.ts';
import { headerLength, parseHeader } from '../../sdk/weights/safetensors.ts';
import { growth } from './growth.ts';
import { LARGE, prepare, SHAPES } from './shapes.ts';

export interface Start {
  readonly base: string;
  readonly threads: number;
  readonly runs: number;
  readonly dtype: 'f32' | 'f16' | 'i8';
  readonly simd: SimdChoice;
  /** Folder names of whole models, under /models/. */
  readonly models: readonly string[];
  /** Whether onnxruntime-web is served under /ort/. */
  readonly peer: boolean;
  readonly shapes: boolean;
  readonly growth: boolean;
}

onmessage = ({ data }: MessageEvent<Start | ThreadStart>) => {
  if ('scratch' in data) serveThread(self as never, data);
  else
    bench(data)
      .catch((error: unknown) => say(String(error instanceof Error ? error.stack : error)))
      .finally(() => postMessage(null));
};

const say = (line: string): void => postMessage(line);
const median = (list: number[]): number => [...list].sort((a, b) => a - b)[list.length >> 1];
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

function engine({ base, simd }: Start, threads: number): Promise<Backend> {
  return createWasmBackend({
    modules: {
      relaxed: new URL('/build/wasm/engine-relaxed.wasm', base),
      plain: new URL('/build/wasm/engine-simd.wasm', base),
    },
    threads,
    simd,
    spawnThread: () => new Worker(location.href, { type: 'module' }),
  });
}

async function bench(start: Start): Promise<void> {
  if (start.growth) return growth((threads) => engine(start, threads), start.runs, say);
  if (start.shapes) await benchShapes(start);
  for (const name of start.models) await benchModel(start, name);
}

/** Each shape on one thread, as a fraction of the peak measured right before and after it. */
async function benchShapes(start: Start): Promise<void> {
  const { instance } = await WebAssembly.instantiateStreaming(fetch('/peak.wasm'));
  const spin = instance.exports.peak as (turns: number) => number;
  const peakNow = (): number => {
    const began = performance.now();
    spin(1e6);
    return 80e6 / (performance.now() - began) / 1e6;
  };
  for (const until = performance.now() + 500; performance.now() < until;) peakNow();
  const backend = await engine(start, 1);
  say(`${backend.description}, ${start.dtype} weights; peak ${peakNow().toFixed(1)} GFLOP/s`);
  say('shape                                       ms  GFLOP/s  of peak');
  for (const shape of SHAPES) {
    const ready = await prepare(backend, shape, start.dtype);
    const times: number[] = [];
    const peaks: number[] = [];
    await ready.run();
    for (let i = 0; i < start.runs; i++) {
      peaks.push(peakNow());
      times.push(await ready.run());
      peaks.push(peakNow());
    }
    ready.dispose();
    const rate = shape.flops / median(times) / 1e6;
    const fraction = (100 * rate) / median(peaks);
    say(
      `${shape.name.padEnd(38)}${median(times).toFixed(1).padStart(8)}${rate.toFixed(1).padStart(9)}` +
        `${fraction.toFixed(0).padStart(8)} %${LARGE.includes(shape) ? ' *' : ''}`,
    );
  }
  await backend.dispose();
}

interface Tensors {
  readonly names: string[];
  read(name: string): { shape: readonly number[]; values: Float32Array<ArrayBuffer> };
}

/** A whole safetensors file of float32 (and int64) tensors, in memory. */
async function fetchTensors(path: string): Promise<Tensors> {
  const bytes = new Uint8Array(await (await fetch(path)).arrayBuffer());
  const length = headerLength(bytes.subarray(0, 8), bytes.length);
  const header = parseHeader(bytes.subarray(0, 8 + length), bytes.length);
  return {
    names: [...header.tensors.keys()],
    read: (name) => {
      const entry = header.tensors.get(name);
      if (!entry) throw new Error(`${path} has no ${name}`);
      const data = bytes.slice(entry.begin, entry.end).buffer;
      const values =
        entry.dtype === 'I64'
          ? Float32Array.from(new BigInt64Array(data), Number)
          : new Float32Array(data);
      return { shape: entry.shape, values };
    },
  };
}

/** Runs of the SDK and of the peer in turn, on the same weights and inputs. */
async function benchModel(start: Start, name: string): Promise<void> {
  const folder = `/models/${name}/`;
  const config: unknown = await (await fetch(`${folder}config.json`)).json();
  const inputs = await fetchTensors(`${folder}inputs.safetensors`);
  const truth = (await fetchTensors(`${folder}outputs.safetensors`)).read('output');
  const backend = await engine(start, start.threads);
  const ours = await loadOurs(backend, start, folder, config, inputs);
  const peer = start.peer ? await loadPeer(start, folder, inputs) : undefined;

  const mine: number[] = [];
  const theirs: number[] = [];
  for (let i = 0; i <= start.runs; i++) {
    let began = performance.now();
    await ours.run();
    mine.push(performance.now() - began);
    if (!peer) continue;
    // A thread pool may spin for a while after a run; it must not take from the other's time.
    await pause(500);
    began = performance.now();
    await peer();
    theirs.push(performance.now() - began);
    await pause(500);
  }
  const result = await ours.read(ours.output);
  const error = relativeRms(result, toNhwc(truth.values, truth.shape as number[]));
  const us = median(mine.slice(1));
  say(
    `${name}: ${backend.description}, ${start.dtype}: ${us.toFixed(0)} ms ` +
      `(${mine.map((t) => t.toFixed(0)).join(' ')}); relative RMS error ${error.toExponential(1)}`,
  );
  if (peer) {
    const them = median(theirs.slice(1));
    say(
      `${name}: onnxruntime-web: ${them.toFixed(0)} ms (${theirs.map((t) => t.toFixed(0)).join(' ')}); ` +
        `ratio ${(them / us).toFixed(2)}`,
    );
  }
  await backend.dispose();
}

async function loadOurs(
  backend: Backend,
  start: Start,
  folder: string,
  config: unknown,
  inputs: Tensors,
): Promise<Program & { output: string }> {
  const unet = inputs.names.includes('sample');
  const picture = inputs.read(unet ? 'sample' : 'latent');
  const [batch, , height, width] = picture.shape;
  const graph = unet
    ? models.traceUNet(models.parseUNetConfig(config), { batch, height, width, tokens: 77 })
    : models.traceVaeDecoder(models.parseVaeConfig(config), { batch, height, width });
  const file = await fetchTensors(`${folder}diffusion_pytorch_model.safetensors`);
  const weights = await backend.createWeights(graph.params.values(), start.dtype);
  for (const param of graph.params.values())
    await weights.set(packTensor(param, file.read(param.name).values, start.dtype));
  const program = await backend.compile(graph, weights);
  program.write(unet ? 'sample' : 'latents', toNhwc(picture.values, picture.shape as number[]));
  if (unet) {
    program.write('timestep', inputs.read('timestep').values);
    program.write('context', inputs.read('encoder_hidden_states').values);
  }
  return Object.assign(program, { output: unet ? 'sample' : 'image' });
}

interface Ort {
  readonly env: { wasm: { wasmPaths: string; numThreads: number }; logLevel: string };
  readonly Tensor: new (type: string, data: unknown, shape: readonly number[]) => unknown;
  readonly InferenceSession: {
    create(
      model: Uint8Array,
      options: object,
    ): Promise<{
      run(feeds: object): Promise<Record<string, { getData(): Promise<unknown> }>>;
    }>;
  };
}

async function loadPeer(
  start: Start,
  folder: string,
  inputs: Tensors,
): Promise<() => Promise<void>> {
  const path = '/ort/ort.wasm.min.mjs';
  const ort = (await import(path)) as Ort;
  ort.env.wasm.wasmPaths = '/ort/';
  ort.env.wasm.numThreads = start.threads;
  ort.env.logLevel = 'error';
  const bytes = async (file: string): Promise<Uint8Array> =>
    new Uint8Array(await (await fetch(`${folder}onnx/${file}`)).arrayBuffer());
  const files = (await (await fetch(`${folder}onnx/files.json`)).json()) as string[];
  const externalData = await Promise.all(
    files.map(async (file) => ({ path: file, data: await bytes(file) })),
  );
  const session = await ort.InferenceSession.create(await bytes('model.onnx'), {
    executionProviders: ['wasm'],
    graphOptimizationLevel: 'all',
    ...(externalData.length > 0 ? { externalData } : {}),
  });
  const feeds = Object.fromEntries(
    inputs.names.map((name) => {
      const { shape, values } = inputs.read(name);
      const ids = name === 'timestep';
      return [
        name,
        ids
          ? new ort.Tensor('int64', BigInt64Array.from(values, BigInt), shape)
          : new ort.Tensor('float32', values, shape),
      ];
    }),
  );
  return async () => {
    await (await session.run(feeds)).output.getData();
  };
}

function relativeRms(actual: Float32Array, expected: Float32Array): number {
  let [error, size] = [0, 0];
  expected.forEach((x, i) => {
    error += (actual[i] - x) ** 2;
    size += x * x;
  });
  return Math.sqrt(error / size);
}
