import type { Graph, Plan, Tensor } from '../../graph/index.ts';
import { SDError } from '../../errors.ts';
import type { Program, ProgramReport } from '../backend.ts';
import type { Device } from './device.ts';
import type { Dispatch, Operand } from './dispatch.ts';
import { decode, encode } from './transfer.ts';
import { ALIGNMENT, alignUp, type Storage, type TensorLayout } from './layout.ts';
import { Lowering, scratchBytes, type LoweringChoices } from './lowering.ts';
import type { Pace } from './pace.ts';
import type { Pipeline, Pipelines } from './pipelines.ts';
import { COPY_DST, COPY_SRC, MAP_READ, STORAGE, UNIFORM } from './usage.ts';
import type { WebGPUWeights } from './weights.ts';

/** A dispatch with the GPU's objects for it. */
interface Recorded {
  readonly pipeline: GPUComputePipeline;
  readonly bindGroup: GPUBindGroup;
  readonly grid: Dispatch['grid'];
  readonly cost: number;
}

/** A model on the GPU: everything it needs is made here once, and a run only encodes and submits. */
export class WebGPUProgram implements Program {
  readonly report: ProgramReport;
  /** Those of its device and storage. */
  readonly pipelines: Pipelines;
  readonly #device: Device;
  readonly #pace: Pace;
  readonly #layout: TensorLayout;
  readonly #plan: Plan;
  readonly #graph: Graph;
  readonly #arena: Arena;
  readonly #scratch: GPUBuffer;
  readonly #buffers: GPUBuffer[];
  readonly #readback = new Map<string, GPUBuffer>();
  readonly #once: readonly Recorded[];
  readonly #perStep: readonly Recorded[];
  #onceIsStale = true;

  private constructor(parts: Parts) {
    this.pipelines = parts.pipelines;
    this.#device = parts.device;
    this.#pace = parts.pace;
    this.#layout = parts.layout;
    this.#plan = parts.plan;
    this.#graph = parts.graph;
    this.#arena = parts.arena;
    this.#scratch = parts.scratch;
    this.#buffers = parts.buffers;
    this.#once = parts.once;
    this.#perStep = parts.perStep;
    for (const [name, t] of parts.graph.outputs) {
      const size = parts.layout.bytes(t);
      const buffer = parts.device.gpu.createBuffer({ size, usage: MAP_READ | COPY_DST });
      this.#readback.set(name, buffer);
      this.#buffers.push(buffer);
    }
    this.report = {
      arenaBytes: parts.plan.arenaBytes + parts.scratch.size,
      liveBytes: parts.plan.liveBytes,
      weightBytes: parts.weightBytes,
      onceSteps: parts.once.length,
      perStepSteps: parts.perStep.length,
    };
  }

  /** @throws SDError `OUT_OF_MEMORY` when the arena does not fit */
  static async compile(
    device: Device,
    pipelines: Pipelines,
    pace: Pace,
    graph: Graph,
    weights: WebGPUWeights,
    options: LoweringChoices & { onCompile?: (done: number, total: number) => void },
  ): Promise<WebGPUProgram> {
    const lowered = new Lowering(device, graph, weights.slots, options);
    const { once, perStep } = lowered;
    const dispatches = [...once, ...perStep];
    const compiled = await built(
      dispatches.map((dispatch) => pipelines.get(dispatch)),
      options.onCompile,
    );
    const buffers: GPUBuffer[] = [];
    const make = (size: number, usage: number, label: string): GPUBuffer => {
      const buffer = device.gpu.createBuffer({ label, size: Math.max(size, ALIGNMENT), usage });
      buffers.push(buffer);
      return buffer;
    };
    try {
      return await device.guarded(() => {
        const usage = STORAGE | COPY_SRC | COPY_DST;
        const arena = new Arena(lowered.plan.arenaBytes, device.maxBuffer, (size) =>
          make(size, usage, 'arena'),
        );
        const scratch = make(scratchBytes(dispatches), usage, 'scratch');
        const record = binder(device, dispatches, compiled, arena, scratch, weights, make);
        const all = dispatches.map((_, i) => record(i));
        return new WebGPUProgram({
          device,
          pipelines,
          pace,
          graph,
          layout: lowered.layout,
          plan: lowered.plan,
          arena,
          scratch,
          buffers,
          weightBytes: weights.bytes,
          once: all.slice(0, once.length),
          perStep: all.slice(once.length),
        });
      });
    } catch (error) {
      for (const buffer of buffers) buffer.destroy();
      throw error;
    }
  }

  write(input: string, data: Float32Array | Int32Array): void {
    const t = this.#graph.inputs.get(input);
    if (!t) throw new SDError('INTERNAL', `the model has no input ${input}`);
    if (data.length !== t.size)
      throw new SDError('INTERNAL', `input ${input} [${t.shape}] was given ${data.length} numbers`);
    this.#device.check();
    const { buffer, offset } = this.#place(t);
    const bytes = encode(data, t, this.#layout);
    this.#device.gpu.queue.writeBuffer(buffer, offset, bytes);
    const op = this.#graph.ops[t.id];
    if (op.kind === 'input' && op.rate === 'once') this.#onceIsStale = true;
  }

  async run(signal?: AbortSignal): Promise<void> {
    const steps = this.#onceIsStale ? [...this.#once, ...this.#perStep] : this.#perStep;
    const { gpu } = this.#device;
    let at = 0;
    while (at < steps.length) {
      if (signal?.aborted)
        throw new SDError('ABORTED', 'the caller stopped it', { cause: signal.reason });
      this.#device.check();
      const budget = this.#pace.budget;
      const encoder = gpu.createCommandEncoder();
      const pass = encoder.beginComputePass();
      let cost = 0;
      let pipeline: GPUComputePipeline | undefined;
      do {
        const step = steps[at++];
        if (step.pipeline !== pipeline) pass.setPipeline((pipeline = step.pipeline));
        pass.setBindGroup(0, step.bindGroup);
        pass.dispatchWorkgroups(...step.grid);
        cost += step.cost;
      } while (at < steps.length && cost + steps[at].cost <= budget);
      pass.end();
      gpu.queue.submit([encoder.finish()]);
      await this.#pace.submitted(cost);
    }
    this.#device.check();
    this.#onceIsStale = false;
  }

  /** Encodes all of a run, whatever it costs: for measuring. */
  encode(pass: GPUComputePassEncoder): void {
    for (const { pipeline, bindGroup, grid } of [...this.#once, ...this.#perStep]) {
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, bindGroup);
      pass.dispatchWorkgroups(...grid);
    }
  }

  async read(output: string): Promise<Float32Array> {
    const t = this.#graph.outputs.get(output);
    const staging = this.#readback.get(output);
    if (!t || !staging) throw new SDError('INTERNAL', `the model has no output ${output}`);
    this.#device.check();
    const { gpu } = this.#device;
    const { buffer, offset } = this.#place(t);
    const encoder = gpu.createCommandEncoder();
    encoder.copyBufferToBuffer(buffer, offset, staging, 0, this.#layout.bytes(t));
    gpu.queue.submit([encoder.finish()]);
    await this.#device.mapped(staging, output);
    const values = decode(staging.getMappedRange(), t, this.#layout);
    staging.unmap();
    return values;
  }

  /** Where an input or output lies, for kernels of others. */
  place(kind: 'input' | 'output', name: string): GPUBufferBinding & { readonly size: number } {
    const t = this.#graph[`${kind}s`].get(name);
    if (!t) throw new SDError('INTERNAL', `the model has no ${kind} ${name}`);
    return { ...this.#place(t), size: this.#layout.bytes(t) };
  }

  get storage(): Storage {
    return this.#layout.storage;
  }

  /** Fills everything a run may write with NaN, so that a test sees what was not written. */
  poison(): void {
    for (const buffer of [...this.#arena.buffers, this.#scratch])
      this.#device.gpu.queue.writeBuffer(
        buffer,
        0,
        new Uint32Array(buffer.size / 4).fill(0x7fc07fc0),
      );
    this.#onceIsStale = true;
  }

  dispose(): void {
    for (const buffer of this.#buffers) buffer.destroy();
  }

  #place(t: Tensor): { buffer: GPUBuffer; offset: number } {
    return this.#arena.at(this.#plan.offset(t));
  }
}

/** Waits for pipelines, which are compiled side by side, and says how many are there. */
async function built(
  pipelines: readonly Promise<Pipeline>[],
  onCompile?: (done: number, total: number) => void,
): Promise<Pipeline[]> {
  const different = new Set(pipelines);
  let done = 0;
  onCompile?.(done, different.size);
  for (const pipeline of different)
    pipeline.then(
      () => onCompile?.(++done, different.size),
      () => {}, // whoever waits for all of them hears of it
    );
  return Promise.all(pipelines);
}

interface Parts {
  readonly device: Device;
  readonly pipelines: Pipelines;
  readonly pace: Pace;
  readonly graph: Graph;
  readonly layout: TensorLayout;
  readonly plan: Plan;
  readonly arena: Arena;
  readonly scratch: GPUBuffer;
  readonly buffers: GPUBuffer[];
  readonly weightBytes: number;
  readonly once: readonly Recorded[];
  readonly perStep: readonly Recorded[];
}

/** One address space over as many buffers as the device's limits need. */
class Arena {
  readonly buffers: GPUBuffer[] = [];
  readonly #segment: number;

  constructor(bytes: number, segment: number, make: (size: number) => GPUBuffer) {
    this.#segment = segment;
    for (let at = 0; at < bytes; at += segment)
      this.buffers.push(make(Math.min(segment, bytes - at)));
  }

  at(offset: number): { buffer: GPUBuffer; offset: number } {
    return {
      buffer: this.buffers[Math.floor(offset / this.#segment)],
      offset: offset % this.#segment,
    };
  }
}

/** Makes bind groups; the uniform blocks of all dispatches share one buffer. */
function binder(
  device: Device,
  dispatches: readonly Dispatch[],
  pipelines: readonly Pipeline[],
  arena: Arena,
  scratch: GPUBuffer,
  weights: WebGPUWeights,
  make: (size: number, usage: number, label: string) => GPUBuffer,
): (i: number) => Recorded {
  const { gpu } = device;
  const uniforms = make(dispatches.length * ALIGNMENT, UNIFORM | COPY_DST, 'uniforms');
  const words = new Uint32Array(uniforms.size / 4);
  dispatches.forEach((d, i) => words.set(d.uniforms, (i * ALIGNMENT) / 4));
  gpu.queue.writeBuffer(uniforms, 0, words);
  // What stands in for operands that an op has not; a slice each, since writable ones may not meet.
  const absent = { read: make(4096, STORAGE, 'absent'), state: make(4096, STORAGE, 'absent') };

  const resolve = (
    operand: Operand,
    binding: number,
    access: 'read' | 'state',
  ): GPUBufferBinding => {
    switch (operand.from) {
      case 'arena':
        return { ...arena.at(operand.offset), size: operand.size };
      case 'scratch':
        return { buffer: scratch, offset: operand.offset, size: operand.size };
      case 'weights': {
        const { buffer, offset, size } = operand;
        return { buffer: weights.buffers[buffer], offset, size: alignUp(size, 16) };
      }
      case 'constant': {
        const buffer = make(alignUp(operand.data.byteLength, 16), STORAGE | COPY_DST, 'constant');
        gpu.queue.writeBuffer(buffer, 0, operand.data);
        return { buffer };
      }
      case 'nothing':
        return { buffer: absent[access], offset: binding * ALIGNMENT, size: ALIGNMENT };
    }
  };

  return (i) => {
    const { operands, grid, flops, bytes, uniforms: block } = dispatches[i];
    const { gpu: pipeline, layout, bindings } = pipelines[i];
    const entries: GPUBindGroupEntry[] = bindings.map(([binding, access], j) => ({
      binding,
      resource: resolve(operands[j], binding, access),
    }));
    const size = alignUp(block.length * 4, 16);
    const offset = i * ALIGNMENT;
    entries.push({ binding: 0, resource: { buffer: uniforms, offset, size } });
    const bindGroup = gpu.createBindGroup({ layout, entries });
    // A dispatch costs its arithmetic, its traffic, and some microseconds for being one.
    return { pipeline, bindGroup, grid, cost: flops + 16 * bytes + 1e6 };
  };
}
