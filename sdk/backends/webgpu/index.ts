import type { FuseOptions, Graph, Param } from '../../graph/index.ts';
import type { Backend, Program, WeightDtype, Weights } from '../backend.ts';
import { openDevice, type Device, type DeviceOptions } from './device.ts';
import { Pace } from './pace.ts';
import { Pipelines } from './pipelines.ts';
import { WebGPUProgram } from './program.ts';
import type { KernelSources } from './shader.ts';
import type { Choice, Product } from './tiles.ts';
import { WebGPUWeights } from './weights.ts';

export type { KernelSources } from './shader.ts';

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
  /** Picks tiles instead of the built-in choice. */
  readonly choose?: (product: Product) => Choice;
}

/** Work that takes well under 50 ms on a phone's GPU, and on a CPU that plays one. */
const MAX_FLOPS = 2e9;
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
  readonly #options: WebGPUOptions;
  readonly #pace: Pace;

  constructor(device: Device, options: WebGPUOptions) {
    this.device = device;
    this.description = device.description;
    this.#options = options;
    this.pipelines = new Pipelines(device, options.kernels, {
      unroll: options.unroll ?? !device.isSlow,
    });
    this.#pace = new Pace(device, device.isSlow ? SPEED_SLOW : SPEED);
  }

  createWeights(params: Iterable<Param>, dtype: WeightDtype): Promise<Weights> {
    return WebGPUWeights.create(this.device, params, dtype);
  }

  compile(graph: Graph, weights: Weights): Promise<Program> {
    const { norm = 'loader', choose } = this.#options;
    const maxFlops = this.#options.maxFlops ?? (this.device.isSlow ? MAX_FLOPS_SLOW : MAX_FLOPS);
    const headWords =
      this.#options.headWords ?? (this.device.isSlow ? HEAD_WORDS_SLOW : HEAD_WORDS);
    return WebGPUProgram.compile(
      this.device,
      this.pipelines,
      this.#pace,
      graph,
      weights as WebGPUWeights,
      { norm, maxFlops, headWords, choose },
    );
  }

  async dispose(): Promise<void> {
    this.device.dispose();
  }
}
