import { SDError } from '../../errors.ts';
import type { Device } from './device.ts';
import type { Dispatch } from './dispatch.ts';
import { bindingsOf, KERNELS, type Access, type KernelName } from './kernels.ts';
import type { Storage } from './layout.ts';
import { specialise, type KernelSources } from './shader.ts';

/** A compiled kernel and the layout of its bind groups. */
export interface Pipeline {
  readonly gpu: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
  readonly bindings: readonly (readonly [index: number, access: Access])[];
}

/** A kernel with all that it is specialised by. */
type Specialised = Pick<Dispatch, 'kernel' | 'constants' | 'weights'>;

/** Every pipeline of a device; equal ones are compiled once. */
export class Pipelines {
  readonly #device: Device;
  readonly #sources: KernelSources;
  readonly #options: { readonly unroll: boolean };
  readonly #known = new Map<string, Promise<Pipeline>>();
  readonly #layouts = new Map<KernelName, GPUBindGroupLayout>();

  constructor(device: Device, sources: KernelSources, options: { unroll: boolean }) {
    this.#device = device;
    this.#sources = sources;
    this.#options = options;
  }

  get size(): number {
    return this.#known.size;
  }

  /** Starts compiling at once, without waiting for others. */
  get(dispatch: Specialised): Promise<Pipeline> {
    const { kernel, constants, weights } = dispatch;
    const key = JSON.stringify([kernel, weights, constants]);
    let pipeline = this.#known.get(key);
    if (!pipeline) {
      pipeline = this.#compile(dispatch);
      this.#known.set(key, pipeline);
      // A failure is no answer to keep.
      pipeline.catch(() => this.#known.delete(key));
    }
    return pipeline;
  }

  async #compile(specialised: Specialised): Promise<Pipeline> {
    const { kernel, constants } = specialised;
    const { gpu, storage, subgroupSize } = this.#device;
    const names = filesOf(specialised, storage, subgroupSize);
    const layout = this.#layout(kernel);
    const module = gpu.createShaderModule({
      label: kernel,
      code: specialise(this.#sources, names, constants, this.#options),
    });
    try {
      const pipeline = await gpu.createComputePipelineAsync({
        label: kernel,
        layout: gpu.createPipelineLayout({ bindGroupLayouts: [layout] }),
        compute: { module, entryPoint: kernel },
      });
      return { gpu: pipeline, layout, bindings: bindingsOf(kernel) };
    } catch (cause) {
      this.#device.check();
      const { messages } = await module.getCompilationInfo();
      const text = messages.map((m) => `${m.lineNum}:${m.linePos} ${m.message}`).join('\n');
      throw new SDError('INTERNAL', `the GPU's compiler refused the kernel ${kernel}. ${text}`, {
        cause,
      });
    }
  }

  #layout(kernel: KernelName): GPUBindGroupLayout {
    let layout = this.#layouts.get(kernel);
    if (!layout) {
      const visibility = 4; // GPUShaderStage.COMPUTE, a global that Node has not
      const entries: GPUBindGroupLayoutEntry[] = [
        { binding: 0, visibility, buffer: { type: 'uniform' } },
      ];
      for (const [binding, access] of bindingsOf(kernel)) {
        const type = access === 'read' ? 'read-only-storage' : 'storage';
        entries.push({ binding, visibility, buffer: { type } });
      }
      layout = this.#device.gpu.createBindGroupLayout({ label: kernel, entries });
      this.#layouts.set(kernel, layout);
    }
    return layout;
  }
}

/**
 * The files that make a kernel's module, with the variants for how numbers are stored and for what the
 * device has.
 * @param subgroupSize the smallest size of its subgroups; 0 where they are not to be used
 */
export function filesOf(
  { kernel, constants, weights }: Specialised,
  storage: Storage,
  subgroupSize: number,
): string[] {
  const variants: Readonly<Record<string, string>> = {
    storage: `storage-${storage}`,
    weights: `weights-${weights}`,
    reduce: subgroupSize > 0 ? 'reduce-subgroups' : 'reduce',
    neighbours: Number(constants.SPLIT) <= subgroupSize ? 'neighbours-subgroups' : 'neighbours',
  };
  return KERNELS[kernel].files.map((file) => variants[file] ?? file);
}
