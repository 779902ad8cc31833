/**
 * npm run bench:gpu -- [--weights f32|f16|i8] [--storage auto|f32|f16|f16x2] [--norm loader|apply]
 *                      [--small] [--step] [--ort FOLDER --model FOLDER [--ort-engine webgpu|cpu]]
 *
 * On whatever adapter there is: what WGSL can reach here (multiply-adds and copied bytes), then every
 * distinct product, convolution and attention of SD 1.5 and its VAE as a fraction of that, and with
 * --step a whole UNet step; with --ort (where `onnxruntime-node` was installed) and --model (a UNet that
 * tests/bench/cpu_models.py wrote) that model here and in ONNX Runtime. Software adapters get --small: shapes a sixteenth as long, no step.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { WeightDtype } from '../../sdk/backends/backend.ts';
import { createWebGPUBackend, type WebGPUBackend } from '../../sdk/backends/webgpu/index.ts';
import type { Storage } from '../../sdk/backends/webgpu/layout.ts';
import { parseUNetConfig, traceUNet } from '../../sdk/models/index.ts';
import { builtInConfigs } from '../../sdk/formats/names/configs.ts';
import { openGPU, readKernels } from '../parity/webgpu-device.ts';
import { timeOrt } from './gpu-ort.ts';
import { conv, linear, prepare, selfAttention, SHAPES, type Shape } from './shapes.ts';

const { values } = parseArgs({
  options: {
    weights: { type: 'string', default: 'f16' },
    storage: { type: 'string', default: 'auto' },
    norm: { type: 'string', default: 'loader' },
    small: { type: 'boolean' },
    step: { type: 'boolean' },
    ort: { type: 'string' },
    model: { type: 'string' },
    'ort-engine': { type: 'string', default: 'webgpu' },
  },
});

const gpu = await openGPU();
if (!gpu) process.exit(1);
const backend = await createWebGPUBackend({
  gpu,
  kernels: readKernels(),
  storage: values.storage as Storage | 'auto',
  norm: values.norm as 'loader' | 'apply',
});
const small = values.small ?? backend.device.isSlow;
const weights = values.weights as WeightDtype;
console.log(`${backend.description}, ${weights} weights`);

const ceiling = await multiplyAdds(backend);
const bandwidth = await copies(backend);
console.log(`multiply-adds ${gigas(ceiling)} GFLOP/s, copies ${gigas(bandwidth)} GB/s\n`);

const shapes: Shape[] = small
  ? [
      linear(256, 320, 320),
      linear(256, 320, 2560),
      conv(16, 320, 320),
      conv(16, 320, 320, true),
      selfAttention(256, 256, 8, 40),
      selfAttention(256, 77, 8, 80),
    ]
  : SHAPES;
for (const shape of shapes) {
  const run = await prepare(backend, shape, weights);
  const ms = await time(() => run.run());
  run.dispose();
  const speed = shape.flops / ms / 1e-3;
  const share = ((100 * speed) / ceiling).toFixed(0).padStart(3);
  console.log(
    `${shape.name.padEnd(32)} ${ms.toFixed(2).padStart(9)} ms ${gigas(speed)} GFLOP/s ${share} %`,
  );
}

if (values.step) {
  const { unet } = builtInConfigs({
    family: 'sd1',
    inChannels: 4,
    predictionType: 'epsilon',
    zeroTerminalSnr: false,
  });
  const graph = traceUNet(parseUNetConfig(unet), { batch: 2, height: 64, width: 64, tokens: 77 });
  const run = await prepare(backend, { name: 'step', flops: 4 * 401.6e9, graph }, weights);
  const ms = await time(() => run.run());
  console.log(`\nUNet of SD 1.5 at 512², both halves of guidance: ${ms.toFixed(1)} ms a step`);
  run.dispose();
}
if (values.ort && values.model) {
  const config = parseUNetConfig(
    JSON.parse(readFileSync(join(values.model, 'config.json'), 'utf8')),
  );
  const { sampleSize: height } = config;
  const graph = traceUNet(config, { batch: 1, height, width: height, tokens: 77 });
  const run = await prepare(backend, { name: 'model', flops: 0, graph }, weights);
  const ours = await time(() => run.run());
  run.dispose();
  const engine = values['ort-engine'] as 'webgpu' | 'cpu';
  const theirs = await timeOrt(values.ort, join(values.model, 'onnx/model.onnx'), engine, time);
  console.log(`\n${values.model}: ${ours.toFixed(1)} ms a run`);
  console.log(`ONNX Runtime (${engine}): ${theirs.toFixed(1)} ms, ${(theirs / ours).toFixed(2)}×`);
}
await backend.dispose();
process.exit(0);

function gigas(perSecond: number): string {
  return (perSecond / 1e9).toFixed(1).padStart(9);
}

/** Milliseconds of one run: the best of three series, after one that warms up. */
async function time(run: () => Promise<unknown>): Promise<number> {
  const { queue } = backend.device.gpu;
  const series = async (times: number): Promise<number> => {
    const begin = performance.now();
    for (let i = 0; i < times; i++) await run();
    await queue.onSubmittedWorkDone();
    return (performance.now() - begin) / times;
  };
  await series(1);
  const times = Math.max(1, Math.min(50, Math.ceil(100 / (await series(1)))));
  let best = Infinity;
  for (let i = 0; i < 3; i++) best = Math.min(best, await series(times));
  return best;
}

/** FLOP a second of 16 independent chains of vec4 multiply-adds per thread. */
async function multiplyAdds({ device }: WebGPUBackend): Promise<number> {
  const chains = Array.from({ length: 16 }, (_, i) => i);
  const loops = device.isSlow ? 64 : 1024;
  const groups = device.isSlow ? 16 : 4096;
  const code = `
    @group(0) @binding(0) var<storage, read_write> out: array<vec4f>;
    @compute @workgroup_size(256) fn main(@builtin(global_invocation_id) id: vec3u) {
      let x = out[id.x] + 0.5;
      ${chains.map((i) => `var a${i} = x + ${i}.0;`).join('\n')}
      for (var i = 0u; i < ${loops}u; i++) {
        ${chains.map((i) => `a${i} = a${i} * x + x;`).join('\n')}
      }
      out[id.x] = ${chains.map((i) => `a${i}`).join(' + ')};
    }`;
  const buffer = device.gpu.createBuffer({ size: groups * 256 * 16, usage: 0x80 });
  const pipeline = await device.gpu.createComputePipelineAsync({
    layout: 'auto',
    compute: { module: device.gpu.createShaderModule({ code }) },
  });
  const bindGroup = device.gpu.createBindGroup({
    layout: pipeline.getBindGroupLayout(0),
    entries: [{ binding: 0, resource: { buffer } }],
  });
  const ms = await time(async () => {
    const encoder = device.gpu.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, bindGroup);
    pass.dispatchWorkgroups(groups);
    pass.end();
    device.gpu.queue.submit([encoder.finish()]);
  });
  buffer.destroy();
  return (groups * 256 * loops * 16 * 8) / ms / 1e-3;
}

/** Bytes a second that a copy reads and writes. */
async function copies({ device }: WebGPUBackend): Promise<number> {
  const size = device.isSlow ? 2 ** 24 : 2 ** 27;
  const [from, to] = [0, 1].map(() => device.gpu.createBuffer({ size, usage: 0x0c }));
  const ms = await time(async () => {
    const encoder = device.gpu.createCommandEncoder();
    encoder.copyBufferToBuffer(from, 0, to, 0, size);
    device.gpu.queue.submit([encoder.finish()]);
  });
  from.destroy();
  to.destroy();
  return (2 * size) / ms / 1e-3;
}
