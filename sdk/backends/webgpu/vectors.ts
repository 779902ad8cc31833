import type { Combination, Guidance, VectorOptions, Vectors } from '../backend.ts';
import type { Device } from './device.ts';
import { float, grid } from './dispatch.ts';
import type { KernelName } from './kernels.ts';
import { wordBytes } from './layout.ts';
import type { Pipeline, Pipelines } from './pipelines.ts';
import type { WebGPUProgram } from './program.ts';
import { COPY_DST, COPY_SRC, MAP_READ, STORAGE, UNIFORM } from './usage.ts';

/** Terms of a sum that combine.wgsl has room for. */
const MOST_TERMS = 32;

/** What stands between the vectors and one program, for one meaning of its rows. */
interface Link {
  readonly pictures: readonly number[];
  readonly guidance: Guidance | undefined;
  readonly input: Step;
  readonly output: Step;
  readonly rescale: Step;
  /** Words of the program's input, of a pixel of it, and of a pixel of the output. */
  readonly words: number;
  readonly inputWords: number;
  readonly outputWords: number;
}

interface Step {
  readonly pipeline: GPUComputePipeline;
  readonly bindGroup: GPUBindGroup;
}

/**
 * Latents on the GPU. A command writes a few uniform words and submits one small dispatch; the
 * queue keeps their order. Everything else is made once.
 */
export class WebGPUVectors implements Vectors {
  readonly #device: Device;
  readonly #options: VectorOptions;
  /** Elements of a vector. */
  readonly #size: number;
  readonly #vectors: GPUBuffer;
  readonly #uniforms: GPUBuffer;
  readonly #extra: GPUBuffer;
  readonly #staging: GPUBuffer;
  readonly #combine: Step;
  readonly #buffers: GPUBuffer[] = [];
  readonly #links = new WeakMap<WebGPUProgram, Link[]>();

  private constructor(device: Device, combine: Pipeline, options: VectorOptions) {
    this.#device = device;
    this.#options = options;
    this.#size = elements(options);
    const count = options.count + 1; // the last is the input on its way to a program
    this.#vectors = this.#make(4 * this.#size * count, STORAGE | COPY_DST | COPY_SRC);
    this.#staging = this.#make(4 * this.#size, MAP_READ | COPY_DST);
    this.#uniforms = this.#make(16 * (1 + MOST_TERMS), UNIFORM | COPY_DST);
    this.#extra = this.#filled(options.extra ?? []);
    this.#combine = this.#step(combine, [this.#vectors, this.#filled(options.mask ?? [])]);
  }

  /** @returns undefined where the vectors are too many or too large for this device */
  static async create(
    device: Device,
    pipelines: Pipelines,
    options: VectorOptions,
  ): Promise<WebGPUVectors | undefined> {
    const { count, mask } = options;
    const bytes = 4 * elements(options) * (count + 1);
    if (count > MOST_TERMS || bytes > device.maxBinding) return undefined;
    const kernel = { kernel: 'combine', constants: { MASKED: mask !== undefined } } as const;
    const combine = await pipelines.get(kernel);
    return device.guarded(() => new WebGPUVectors(device, combine, options));
  }

  write(into: number, data: Float32Array): void {
    this.#device.gpu.queue.writeBuffer(this.#vectors, 4 * into * this.#size, data.slice());
  }

  combine(into: number, inside: Combination, outside = inside): void {
    const [, , height, width] = this.#options.shape;
    const terms = new Map<number, { inside: number; outside: number }>();
    const termOf = (from: number): { inside: number; outside: number } => {
      const term = terms.get(from) ?? { inside: 0, outside: 0 };
      terms.set(from, term);
      return term;
    };
    for (const { from, factor } of inside) termOf(from).inside = factor;
    for (const { from, factor } of outside) termOf(from).outside = factor;
    const words = [...terms].flatMap(([from, term]) => [
      from,
      float(term.inside),
      float(term.outside),
      0,
    ]);
    this.#run(
      this.#combine,
      [this.#size, into, height * width, terms.size, ...words],
      grid(Math.ceil(this.#size / 64)),
    );
  }

  async evaluate(
    program: WebGPUProgram,
    input: Combination,
    pictures: readonly number[],
    guidance: Guidance | undefined,
    into: number,
    signal?: AbortSignal,
  ): Promise<void> {
    this.#device.check();
    const { shape, extra, count } = this.#options;
    const [batch, channels, height, width] = shape;
    const pixels = height * width;
    const link = await this.#link(program, pictures, guidance);

    this.combine(count, input);
    const more = (extra?.length ?? 0) / (batch * pixels);
    this.#run(
      link.input,
      [link.words, link.inputWords, channels, more, pixels, this.#size, count],
      grid(Math.ceil(link.words / 64)),
    );
    await program.run(signal);
    const { pulls = [], rescale = 0 } = guidance ?? {};
    const shaped = [
      ...[this.#size, this.#size / batch, into, pixels, link.outputWords, batch],
      ...[pulls.length, float(rescale)],
    ];
    this.#run(link.output, shaped, grid(Math.ceil(this.#size / 64)));
    if (rescale !== 0) this.#run(link.rescale, shaped, [batch, 1, 1]);
  }

  async read(from: number): Promise<Float32Array> {
    const bytes = 4 * this.#size;
    return this.#read(this.#staging, from * bytes, bytes);
  }

  /** A copy of all vectors, which nobody need wait for. */
  async copy(): Promise<Float32Array> {
    const { size } = this.#vectors;
    const staging = this.#device.gpu.createBuffer({ size, usage: MAP_READ | COPY_DST });
    try {
      return await this.#read(staging, 0, size);
    } finally {
      staging.destroy();
    }
  }

  /** Takes a copy back. */
  restore(copy: Float32Array): void {
    this.#device.gpu.queue.writeBuffer(this.#vectors, 0, copy.slice());
  }

  dispose(): void {
    for (const buffer of this.#buffers) buffer.destroy();
  }

  async #read(staging: GPUBuffer, offset: number, size: number): Promise<Float32Array> {
    const { gpu } = this.#device;
    this.#device.check();
    const encoder = gpu.createCommandEncoder();
    encoder.copyBufferToBuffer(this.#vectors, offset, staging, 0, size);
    gpu.queue.submit([encoder.finish()]);
    await this.#device.mapped(staging, 'the latents');
    const values = new Float32Array(staging.getMappedRange().slice(0));
    staging.unmap();
    return values;
  }

  /** Made when the rows of a program first have this meaning, and kept. */
  async #link(
    program: WebGPUProgram,
    pictures: readonly number[],
    guidance: Guidance | undefined,
  ): Promise<Link> {
    const links = this.#links.get(program) ?? [];
    this.#links.set(program, links);
    const known = links.find(
      (link) =>
        link.pictures === pictures &&
        link.guidance?.pulls === guidance?.pulls &&
        link.guidance?.scale === guidance?.scale,
    );
    if (known) return known;
    const get = (kernel: KernelName): Promise<Pipeline> =>
      program.pipelines.get({ kernel, constants: {} });
    const kernels = await Promise.all((['feed', 'guide', 'rescale'] as const).map(get));
    const [, , height, width] = this.#options.shape;
    const { pulls = [], scale = 1 } = guidance ?? {};
    const pullWords = pulls.flatMap(({ picture, weight }) => [
      ...[picture, float(weight), float(scale * weight), 0],
    ]);
    const input = program.place('input', 'sample');
    const output = program.place('output', 'sample');
    const guided = [this.#vectors, output, this.#filled(Uint32Array.from(pullWords))];
    const rows = pictures.length * height * width;
    const word = wordBytes(program.storage);
    const link = {
      pictures,
      guidance,
      input: this.#step(kernels[0], [
        ...[this.#vectors, this.#extra, this.#filled(Uint32Array.from(pictures)), input],
      ]),
      output: this.#step(kernels[1], guided),
      rescale: this.#step(kernels[2], guided),
      words: input.size / word,
      inputWords: input.size / word / rows,
      outputWords: output.size / word / rows,
    };
    links.push(link);
    return link;
  }

  #make(size: number, usage: number): GPUBuffer {
    const buffer = this.#device.gpu.createBuffer({ label: 'latents', size, usage });
    this.#buffers.push(buffer);
    return buffer;
  }

  /** A buffer of these words; of something where there are none. */
  #filled(data: Float32Array | Uint32Array | readonly number[]): GPUBuffer {
    const words = new Uint8Array(4 * Math.max(4, data.length));
    const Words = data instanceof Uint32Array ? Uint32Array : Float32Array;
    new Words(words.buffer).set(data);
    const buffer = this.#make(words.byteLength, STORAGE | COPY_DST);
    this.#device.gpu.queue.writeBuffer(buffer, 0, words);
    return buffer;
  }

  #step(
    { gpu: pipeline, layout, bindings }: Pipeline,
    resources: readonly (GPUBuffer | GPUBufferBinding)[],
  ): Step {
    const entries = resources.map((resource, i) => ({
      binding: bindings[i][0],
      resource: 'buffer' in resource ? resource : { buffer: resource },
    }));
    entries.push({ binding: 0, resource: { buffer: this.#uniforms } });
    return { pipeline, bindGroup: this.#device.gpu.createBindGroup({ layout, entries }) };
  }

  #run({ pipeline, bindGroup }: Step, shape: readonly number[], groups: readonly number[]): void {
    const { gpu } = this.#device;
    gpu.queue.writeBuffer(this.#uniforms, 0, Uint32Array.from(shape));
    const encoder = gpu.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, bindGroup);
    pass.dispatchWorkgroups(groups[0], groups[1], groups[2]);
    pass.end();
    gpu.queue.submit([encoder.finish()]);
  }
}

function elements({ shape }: VectorOptions): number {
  return shape.reduce((product, n) => product * n, 1);
}
