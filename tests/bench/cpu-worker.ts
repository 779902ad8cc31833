/** The worker of cpu.mjs. Posts lines of text as it goes, and `null` at the end. */
import type { Backend, Program } from '../../sdk/backends/backend.ts';
import { createWasmBackend, type SimdChoice } from '../../sdk/backends/wasm/index.ts';
import type { WasmProgram } from '../../sdk/backends/wasm/program.ts';
import { serveThread, type ThreadStart } from '../../sdk/backends/wasm/thread.ts';
import * as models from '../../sdk/models/index.ts';
import { toNhwc } from '../../sdk/pipeline/layout.ts';
import { packTensor } from '../../sdk/weights/pack.ts';
import { headerLength, parseHeader } from '../../sdk/weights/safetensors.ts';
import { fetchBuilds } from './fetch-builds.ts';
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

async function engine({ base, simd }: Start, threads: number): Promise<Backend> {
  return createWasmBackend({
    modules: await fetchBuilds(base),
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

/** Milliseconds of the instructions alone: `run` copies the output, which for these is large. */
async function instructionsOf(program: Program): Promise<number> {
  const profile = await (program as WasmProgram).profile();
  return profile.reduce((sum, { ms }) => sum + ms, 0);
}

/** What a round takes is some seconds: over so many of them the host has a quiet moment for each shape. */
const ROUNDS = 16;

/**
 * Each shape on one thread, as a fraction of the peak: the best run against the best peak, since what
 * the machine's other tenants take is neither's. In rounds over all shapes, since they take it for
 * seconds at a time.
 */
async function benchShapes(start: Start): Promise<void> {
  const { instance } = await WebAssembly.instantiateStreaming(fetch('/peak.wasm'));
  const spin = instance.exports.peak as (turns: number) => number;
  const peakNow = (): number => {
    const began = performance.now();
    spin(1e6);
    return 80e6 / (performance.now() - began) / 1e6;
  };
  const backend = await engine(start, 1);
  const rows = [];
  for (const shape of SHAPES) {
    const ready = await prepare(backend, shape, start.dtype);
    await ready.run();
    rows.push({ shape, ready, times: [] as number[] });
  }
  const peaks: number[] = [];
  for (let round = 0; round < ROUNDS; round++)
    for (const { ready, times } of rows) {
      peaks.push(peakNow());
      times.push(await instructionsOf(ready.program));
    }
  const peak = Math.max(...peaks);
  say(`${backend.description}, ${start.dtype} weights; peak ${peak.toFixed(1)} GFLOP/s`);
  say('shape                                       ms  GFLOP/s  of peak');
  for (const { shape, times } of rows) {
    const best = Math.min(...times);
    const rate = shape.flops / best / 1e6;
    const fraction = (100 * rate) / peak;
    say(
      `${shape.name.padEnd(38)}${best.toFixed(1).padStart(8)}${rate.toFixed(1).padStart(9)}` +
        `${fraction.toFixed(0).padStart(8)} %${LARGE.includes(shape) ? ' *' : ''}`,
    );
  }
  for (const { ready } of rows) ready.dispose();
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

/** What runs in turn with the others, and how far its result is from PyTorch's. */
interface Contender {
  readonly name: string;
  readonly run: () => Promise<unknown>;
  readonly error?: () => Promise<number>;
  readonly times: number[];
}

/**
 * The SDK with fused multiply-add and with plain SIMD, on all threads and on one, and the peer, in
 * turn on the same weights and inputs. Medians are of the rounds after the first.
 */
async function benchModel(start: Start, name: string): Promise<void> {
  const folder = `/models/${name}/`;
  const config: unknown = await (await fetch(`${folder}config.json`)).json();
  const inputs = await fetchTensors(`${folder}inputs.safetensors`);
  const output = (await fetchTensors(`${folder}outputs.safetensors`)).read('output');
  const truth = toNhwc(output.values, output.shape as number[]);
  const backends: Backend[] = [];
  const contenders: Contender[] = [];
  const simds = start.simd === 'auto' ? (['auto', 'plain'] as const) : [start.simd];
  for (const simd of simds)
    for (const threads of simd === simds[0] ? new Set([start.threads, 1]) : [start.threads]) {
      const backend = await engine({ ...start, simd }, threads);
      backends.push(backend);
      const ours = await loadOurs(backend, start, folder, config, inputs);
      contenders.push({
        name: backend.description,
        run: () => ours.run(),
        error: async () => relativeRms(await ours.read(ours.output), truth),
        times: [],
      });
    }
  if (start.peer) {
    const run = await loadPeer(start, folder, inputs);
    contenders.push({ name: `onnxruntime-web, ${start.threads} threads`, run, times: [] });
  }
  for (let round = 0; round <= start.runs; round++)
    for (const { run, times } of contenders) {
      const began = performance.now();
      await run();
      times.push(performance.now() - began);
      // A thread pool may spin for a while after a run; it must not take from the next one's time.
      await pause(500);
    }
  const first = contenders[0].times;
  for (const { name: who, times, error } of contenders) {
    const ms = median(times.slice(1));
    // A shared host's speed drifts, but hardly within a round: so ratios are taken round by round.
    const ratio = median(times.map((time, round) => time / first[round]).slice(1));
    const off = error ? `; relative RMS error ${(await error()).toExponential(1)}` : '';
    say(
      `${name}, ${start.dtype}: ${who}: ${ms.toFixed(0)} ms, ${ratio.toFixed(2)} of the first ` +
        `(${times.map((t) => t.toFixed(0)).join(' ')})${off}`,
    );
  }
  for (const backend of backends) await backend.dispose();
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
