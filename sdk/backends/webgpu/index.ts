import type { FuseOptions, Graph, Param } from '../../graph/index.ts';
import type { Backend, Program, VectorOptions, WeightDtypes, Weights } from '../backend.ts';
import { Device, openDevice, type DeviceOptions } from './device.ts';
import { Lowering } from './lowering.ts';
import { Pace } from './pace.ts';
import { Pipelines } from './pipelines.ts';
import { WebGPUProgram } from './program.ts';
import type { KernelSources } from './shader.ts';
import { guess, type Choice, type Product } from './tiles.ts';
import { Tuner, type TuningStore } from './tuner.ts';
import { WebGPUVectors } from './vectors.ts';
import { WebGPUWeights } from './weights.ts';

export type { KernelSources } from './shader.ts';
export type { TuningStore } from './tuner.ts';

export interface WebGPUOptions extends DeviceOptions {
  /** The WGSL files of `kernels/` by name, without `.wgsl`. */
  readonly kernels: KernelSources;
  /** Where group norms are applied; default in the loader of the next matrix product. */
  readonly norm?: FuseOptions['norm'];
  /** Work of one dispatch before it is cut; default by what kind of device it is. */
  readonly maxFlops?: number;
  /** Words of a head that a thread holds in registers; default by what kind of device it is. */
  readonly headWords?: number;
  /** Write inner loops out; default on every device but software ones. */
  readonly unroll?: boolean;
  /** Picks tiles instead of the built-in choice and the tuner. */
  readonly choose?: (product: Product) => Choice;
  /** Measure tiles at first load (up to 2 s); default on every device but software ones. */
  readonly tune?: boolean;
  /** Where measurements are kept for the next visit. */
  readonly store?: TuningStore;
}

/** A dispatch should take this many ms at most, at half the speed that was measured. */
const DISPATCH_TIME = 50;
/** Work of one dispatch where nothing was measured: on a phone's GPU, and on a CPU that plays one. */
const MAX_FLOPS = 1e10;
const MAX_FLOPS_SLOW = 1e8;
/** Twice as many registers of four must not spill; software compiles long bodies for minutes. */
const HEAD_WORDS = 16;
const HEAD_WORDS_SLOW = 4;
/** First guesses of cost per millisecond. */
const SPEED = 5e8;
const SPEED_SLOW = 2e6;

/**
 * The WebGPU engine.
 * @throws SDError `BACKEND_UNAVAILABLE` when there is no WebGPU here
 */
export async function createWebGPUBackend(options: WebGPUOptions): Promise<WebGPUBackend> {
  return new WebGPUBackend(await openDevice(options), options);
}

export class WebGPUBackend implements Backend {
  readonly name = 'webgpu';
  readonly description: string;
  readonly device: Device;
  readonly pipelines: Pipelines;
  onCompile?: (done: number, total: number) => void;
  readonly #options: WebGPUOptions;
  readonly #pace: Pace;
  readonly #tuner: Tuner;
  #exact: WebGPUBackend | undefined;

  constructor(device: Device, options: WebGPUOptions) {
    this.device = device;
    this.description = device.description;
    this.#options = options;
    this.pipelines = new Pipelines(device, options.kernels, {
      unroll: options.unroll ?? !device.isSlow,
    });
    this.#pace = new Pace(device, device.isSlow ? SPEED_SLOW : SPEED);
    const build = fingerprint(Object.values(options.kernels).join());
    this.#tuner = new Tuner(device, this.pipelines, build, { store: options.store });
  }

  createWeights(params: Iterable<Param>, dtypes: WeightDtypes): Promise<Weights> {
    return WebGPUWeights.create(this.device, params, dtypes);
  }

  async compile(graph: Graph, weights: Weights): Promise<Program> {
    const gpuWeights = weights as WebGPUWeights;
    const { device, pipelines } = this;
    const { norm = 'loader', tune = !device.isSlow } = this.#options;
    const headWords = this.#options.headWords ?? (device.isSlow ? HEAD_WORDS_SLOW : HEAD_WORDS);
    const choices = { norm, headWords, maxFlops: Infinity };
    if (tune && !this.#options.choose) {
      const products: Product[] = [];
      const choose = (product: Product): Choice => {
        products.push(product);
        return guess(product);
      };
      new Lowering(device, graph, gpuWeights.slots, { ...choices, choose });
      await this.#tuner.prepare(products);
    }
    const measured = this.#tuner.speed;
    if (measured) this.#pace.expect(measured);
    const maxFlops =
      this.#options.maxFlops ??
      (measured ? (measured / 2) * DISPATCH_TIME : device.isSlow ? MAX_FLOPS_SLOW : MAX_FLOPS);
    const choose = this.#options.choose ?? ((product: Product) => this.#tuner.choose(product));
    return WebGPUProgram.compile(device, pipelines, this.#pace, graph, gpuWeights, {
      ...choices,
      maxFlops,
      choose,
      onCompile: (done, total) => this.onCompile?.(done, total),
    });
  }

  createVectors(options: VectorOptions): Promise<WebGPUVectors | undefined> {
    return WebGPUVectors.create(this.device, this.pipelines, options);
  }

  /** The same device with activations in f32, for numbers that f16 cannot hold. */
  get exact(): WebGPUBackend {
    const { device } = this;
    if (device.storage === 'f32') return this;
    const options = { ...this.#options, device: device.gpu, tune: false };
    if (!this.#exact) {
      this.#exact = new WebGPUBackend(new Device(device.gpu, 'f32', options), options);
      this.#exact.onCompile = (done, total) => this.onCompile?.(done, total);
    }
    return this.#exact;
  }

  async dispose(): Promise<void> {
    this.#exact?.device.dispose();
    this.device.dispose();
  }
}

/** Of a text, in a few letters (FNV-1a). */
function fingerprint(text: string): string {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return (hash >>> 0).toString(36);
}
