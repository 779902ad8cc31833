import { SDError } from '../../errors.ts';

type EngineBytes = ArrayBuffer | Uint8Array<ArrayBuffer>;

/** Both builds of the engine. */
export interface WasmModules {
  /** With fused multiply-add (relaxed SIMD). */
  readonly relaxed: EngineBytes;
  /** With plain 128-bit SIMD. */
  readonly plain: EngineBytes;
}

export type SimdChoice = 'auto' | 'relaxed' | 'plain';

/** One function of type () → v128 with the given body: the smallest module that uses an instruction. */
function probe(...body: number[]): boolean {
  const code = [0, ...body, 0x0b];
  // prettier-ignore
  return WebAssembly.validate(new Uint8Array([
    0, 0x61, 0x73, 0x6d, 1, 0, 0, 0,
    1, 5, 1, 0x60, 0, 1, 0x7b,
    3, 2, 1, 0,
    10, code.length + 2, 1, code.length, ...code,
  ]));
}

const SPLAT = [0x41, 0, 0xfd, 0x0f]; // i32.const 0, i8x16.splat

export function hasSimd(): boolean {
  return probe(...SPLAT);
}

export function hasRelaxedSimd(): boolean {
  return probe(...SPLAT, ...SPLAT, ...SPLAT, 0xfd, 0x85, 0x02); // f32x4.relaxed_madd
}

/** Whether threads can share a memory here: in browsers only where the page is cross-origin isolated. */
export function canShareMemory(): boolean {
  if (typeof SharedArrayBuffer === 'undefined') return false;
  const { crossOriginIsolated } = globalThis as { crossOriginIsolated?: boolean };
  return crossOriginIsolated ?? true;
}

/**
 * Compiles the build that runs here.
 *
 * @throws SDError `BACKEND_UNAVAILABLE` where there is no WebAssembly SIMD, or a build that was asked
 *   for by name cannot run.
 */
export function compileEngine(
  modules: WasmModules,
  simd: SimdChoice,
  shared: boolean,
): { module: WebAssembly.Module; relaxed: boolean } {
  if (!hasSimd())
    throw new SDError(
      'BACKEND_UNAVAILABLE',
      'This browser has no WebAssembly SIMD. Update it: Chrome 91, Firefox 89 and Safari 16.4 have it.',
    );
  const relaxed = simd === 'plain' ? false : hasRelaxedSimd();
  if (simd === 'relaxed' && !relaxed)
    throw new SDError(
      'BACKEND_UNAVAILABLE',
      "This browser has no relaxed SIMD. Use simd: 'auto', which falls back to plain SIMD.",
    );
  const bytes = relaxed ? modules.relaxed : modules.plain;
  try {
    // At once: it takes milliseconds, in a worker that has nothing else to do yet.
    const module = new WebAssembly.Module(shared ? bytes : withUnsharedMemory(bytes));
    return { module, relaxed };
  } catch (cause) {
    throw new SDError(
      'BACKEND_UNAVAILABLE',
      `The engine does not compile (${(cause as Error).message}). A Content-Security-Policy must allow it: script-src … 'wasm-unsafe-eval'.`,
      { cause },
    );
  }
}

/** How asc writes that memory is imported: module, name, kind; limits follow. */
const MEMORY_IMPORT = '\x03env\x06memory\x02';

/**
 * The same binary with its memory import no longer shared, for pages without cross-origin isolation:
 * atomic instructions are valid on unshared memory too. Limits are flag (3 shared with maximum, 1
 * unshared with maximum), minimum, maximum; only the flag changes, so no length does.
 */
export function withUnsharedMemory(source: EngineBytes): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(source).slice();
  // An encoding of one byte a letter.
  const at = new TextDecoder('latin1').decode(bytes).indexOf(MEMORY_IMPORT);
  if (at < 0) throw new SDError('INTERNAL', 'The engine binary imports no memory.');
  bytes[at + MEMORY_IMPORT.length] &= ~2;
  return bytes;
}
