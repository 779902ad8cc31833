import { SDError } from '../../errors.ts';
import { ALIGNMENT, type Storage } from './layout.ts';

export interface DeviceOptions {
  /** Where adapters come from; default `navigator.gpu`. */
  readonly gpu?: GPU;
  /** A device to use as it is; otherwise one is requested. */
  readonly device?: GPUDevice;
  readonly powerPreference?: GPUPowerPreference;
  /**
   * How activations are stored; `auto` is f16, native where the device can. `f32` is exact and takes
   * twice the memory.
   */
  readonly storage?: Storage | 'auto';
  /** Use subgroups where the device has them; default true. For tests. */
  readonly subgroups?: boolean;
  /** Ask for no more than every WebGPU device has; for tests. */
  readonly defaultLimits?: boolean;
  /** Use smaller buffers and bindings (bytes) than the device allows; for tests. */
  readonly maxBuffer?: number;
  readonly maxBinding?: number;
}

const READ_MODE = 1; // GPUMapMode.READ, a global that Node has not

/** Larger buffers make an allocation more likely to fail and nothing faster. */
const LARGEST = 2 ** 30;

/** All workgroups are of this many threads or a multiple of it. */
const LARGEST_SUBGROUP = 64;

/** A device with what was found out about it, and whether it is still there. */
export class Device {
  readonly gpu: GPUDevice;
  readonly storage: Storage;
  /** Vendor, architecture, storage: for people, bug reports and as a key of measurements. */
  readonly description: string;
  /** True for software adapters. */
  readonly isSlow: boolean;
  /** Most bytes of a buffer and of one storage binding that we use. */
  readonly maxBuffer: number;
  readonly maxBinding: number;
  /** Least size of its subgroups; 0 where it has none that kernels can use. */
  readonly subgroupSize: number;
  #lost: GPUDeviceLostInfo | undefined;
  #error: GPUError | undefined;
  readonly #owned: boolean;

  constructor(gpu: GPUDevice, storage: Storage, options: DeviceOptions) {
    this.gpu = gpu;
    this.storage = storage;
    this.#owned = options.device === undefined;
    const { vendor, architecture, description } = gpu.adapterInfo;
    const name =
      [vendor, architecture, description].filter((s) => s).join(' ') || 'unknown adapter';
    this.description = `${name}, ${storage}`;
    this.isSlow =
      gpu.adapterInfo.isFallbackAdapter || /swiftshader|llvmpipe|lavapipe|software/i.test(name);
    this.subgroupSize = subgroupSizeOf(gpu, options);
    const { maxBuffer = LARGEST, maxBinding = LARGEST } = options;
    this.maxBuffer = alignDown(Math.min(gpu.limits.maxBufferSize, maxBuffer));
    this.maxBinding = alignDown(
      Math.min(gpu.limits.maxStorageBufferBindingSize, maxBinding, this.maxBuffer),
    );
    void gpu.lost.then((info) => (this.#lost = info));
    gpu.addEventListener('uncapturederror', this.#note);
  }

  readonly #note = (event: GPUUncapturedErrorEvent): void => {
    this.#error ??= event.error;
  };

  /** @throws SDError `DEVICE_LOST`, or what the GPU complained about since */
  check(): void {
    if (this.#lost)
      throw new SDError(
        'DEVICE_LOST',
        `the GPU went away (${this.#lost.reason}): ${this.#lost.message || 'no reason given'}`,
        { retryable: true },
      );
    if (this.#error) {
      const error = this.#error;
      this.#error = undefined;
      throw asSDError(error);
    }
  }

  /**
   * Runs `make` and waits for the GPU's opinion of it.
   * @throws SDError `OUT_OF_MEMORY` when it had no room, `INTERNAL` when it found a mistake
   */
  async guarded<T>(make: () => T | Promise<T>): Promise<T> {
    this.gpu.pushErrorScope('validation');
    this.gpu.pushErrorScope('out-of-memory');
    let made: T | undefined;
    let failure: unknown;
    try {
      made = await make();
    } catch (cause) {
      failure = cause;
    }
    const [memory, validation] = await Promise.all([
      this.gpu.popErrorScope(),
      this.gpu.popErrorScope(),
    ]);
    this.check();
    const error = memory ?? validation;
    if (error) throw asSDError(error);
    if (failure !== undefined) throw failure;
    return made as T;
  }

  /**
   * Waits until a buffer can be read.
   * @param what is read, for the message
   * @throws SDError `DEVICE_LOST`, `INTERNAL`
   */
  async mapped(buffer: GPUBuffer, what: string): Promise<void> {
    try {
      await buffer.mapAsync(READ_MODE);
    } catch (cause) {
      this.check();
      throw new SDError('INTERNAL', `reading ${what} from the GPU failed`, { cause });
    }
    this.check();
  }

  dispose(): void {
    this.gpu.removeEventListener('uncapturederror', this.#note);
    if (this.#owned) this.gpu.destroy();
  }
}

/** Kernels count on whole subgroups, numbered by the builtins of the language feature. */
function subgroupSizeOf(device: GPUDevice, { gpu, subgroups = true }: DeviceOptions): number {
  const { subgroupMinSize: least = 0, subgroupMaxSize: most = 0 } = device.adapterInfo;
  const canNumber = (gpu ?? navigator.gpu).wgslLanguageFeatures?.has('subgroup_id') ?? false;
  const isUsable = subgroups && device.features.has('subgroups') && canNumber;
  return isUsable && least >= 4 && most <= LARGEST_SUBGROUP ? least : 0;
}

function alignDown(bytes: number): number {
  return Math.floor(bytes / ALIGNMENT) * ALIGNMENT;
}

function asSDError(error: GPUError): SDError {
  const isMemory = error.constructor.name === 'GPUOutOfMemoryError';
  return isMemory
    ? new SDError('OUT_OF_MEMORY', `the GPU has no room: ${error.message}`, { cause: error })
    : new SDError('INTERNAL', `the GPU refused a command: ${error.message}`, { cause: error });
}

/** @throws SDError `BACKEND_UNAVAILABLE` when there is no WebGPU, no adapter or no device */
export async function openDevice(options: DeviceOptions): Promise<Device> {
  const { storage = 'auto' } = options;
  const device = options.device ?? (await requestDevice(options));
  const hasF16 = device.features.has('shader-f16');
  if (storage === 'f16' && !hasF16)
    throw new SDError(
      'BACKEND_UNAVAILABLE',
      'this GPU has no native f16; use storage "auto", which packs f16 in pairs',
    );
  return new Device(device, storage === 'auto' ? (hasF16 ? 'f16' : 'f16x2') : storage, options);
}

async function requestDevice(options: DeviceOptions): Promise<GPUDevice> {
  const gpu = options.gpu ?? (globalThis.navigator as Navigator | undefined)?.gpu;
  if (!gpu)
    throw new SDError(
      'BACKEND_UNAVAILABLE',
      'This browser has no WebGPU, or the page is not served over HTTPS.',
    );
  const { powerPreference = 'high-performance' } = options;
  const adapter = await gpu.requestAdapter({ powerPreference });
  if (!adapter)
    throw new SDError(
      'BACKEND_UNAVAILABLE',
      'WebGPU found no GPU that it may use. Update the browser and its drivers, or take the CPU engine.',
    );
  const features = (['shader-f16', 'timestamp-query', 'subgroups'] as const).filter((name) =>
    adapter.features.has(name),
  );
  const { maxBufferSize, maxStorageBufferBindingSize } = adapter.limits;
  const requiredLimits = options.defaultLimits
    ? {}
    : { maxBufferSize, maxStorageBufferBindingSize };
  try {
    return await adapter.requestDevice({ requiredFeatures: features, requiredLimits });
  } catch (cause) {
    throw new SDError('BACKEND_UNAVAILABLE', 'the GPU refused a device; restart the browser', {
      cause,
    });
  }
}
