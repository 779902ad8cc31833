/** What a browser can run, and why not where it cannot. */
export interface Availability {
  /** What `backend: 'auto'` takes; undefined where neither engine runs. */
  readonly backend: 'webgpu' | 'wasm' | undefined;
  readonly webgpu: {
    readonly available: boolean;
    /** Why not, as a sentence. */
    readonly reason: string | undefined;
    /** Half-precision arithmetic in shaders. */
    readonly f16: boolean;
    /** A GPU that the CPU plays: it works, and `auto` takes the faster CPU engine. */
    readonly software: boolean;
  };
  readonly wasm: {
    readonly available: boolean;
    readonly reason: string | undefined;
    /** Threads need a page that is cross-origin isolated. */
    readonly threads: boolean;
    readonly relaxedSimd: boolean;
  };
}

/** `i8x16.splat`, and `i32x4.relaxed_trunc_f32x4_s`, in the smallest modules that hold them. */
const SIMD = '0061736d010000000105016000017b030201000a080106004100fd0f0b';
const RELAXED_SIMD = '0061736d010000000105016000017b030201000a0b0109004100fd0ffd81020b';

/** Looks; starts and downloads nothing. */
export async function probe(): Promise<Availability> {
  const webgpu = await probeWebGpu();
  const wasm = probeWasm();
  const gpu = webgpu.available ? 'webgpu' : undefined;
  const backend = wasm.available && (!gpu || webgpu.software) ? 'wasm' : gpu;
  return { backend, webgpu, wasm };
}

async function probeWebGpu(): Promise<Availability['webgpu']> {
  const no = (reason: string) => ({ available: false, reason, f16: false, software: false });
  if (typeof isSecureContext !== 'undefined' && !isSecureContext)
    return no('WebGPU needs a page served over https or from localhost.');
  const gpu = typeof navigator === 'undefined' ? undefined : navigator.gpu;
  if (!gpu) return no('This browser has no WebGPU.');
  try {
    const adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' });
    if (!adapter) return no('The browser gives no GPU: none is there, or it is blocked.');
    const { isFallbackAdapter, vendor, architecture, description } = adapter.info;
    const software =
      isFallbackAdapter ||
      /swiftshader|llvmpipe|lavapipe|software/i.test(`${vendor} ${architecture} ${description}`);
    return {
      available: true,
      reason: undefined,
      f16: adapter.features.has('shader-f16'),
      software,
    };
  } catch (error) {
    return no(`The browser gives no GPU: ${String(error)}`);
  }
}

function probeWasm(): Availability['wasm'] {
  const valid = (hex: string): boolean => {
    const bytes = Uint8Array.from(hex.match(/../g)!, (byte) => parseInt(byte, 16));
    return typeof WebAssembly === 'object' && WebAssembly.validate(bytes);
  };
  const available = valid(SIMD);
  return {
    available,
    reason: available ? undefined : 'This browser has no WebAssembly SIMD.',
    threads: globalThis.crossOriginIsolated === true && typeof SharedArrayBuffer === 'function',
    relaxedSimd: valid(RELAXED_SIMD),
  };
}
