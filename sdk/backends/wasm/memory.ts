import { SDError } from '../../errors.ts';
import { HEAP } from '../../../wasm/engine/layout.ts';

const PAGE = 65536;
const MAX_PAGES = 65536;
const ALIGNMENT = 64;
/** Smallest growth: growing often is slow where the memory has to move. */
const GROWTH = 16 * 2 ** 20;

interface Gap {
  address: number;
  bytes: number;
}

/**
 * The engine's one linear memory, up to 4 GiB, and a first-fit allocator over it. What is freed is
 * taken again; WebAssembly memory itself never shrinks.
 */
export class LinearMemory {
  readonly memory: WebAssembly.Memory;
  /** Free stretches by address, never touching. */
  readonly #gaps: Gap[] = [];
  #end = HEAP;

  constructor(shared: boolean) {
    this.memory = createMemory(shared);
  }

  /** @throws SDError `OUT_OF_MEMORY` */
  allocate(bytes: number): number {
    const size = Math.max(ALIGNMENT, Math.ceil(bytes / ALIGNMENT) * ALIGNMENT);
    const found = this.#gaps.findIndex((gap) => gap.bytes >= size);
    if (found >= 0) {
      const gap = this.#gaps[found];
      const { address } = gap;
      gap.address += size;
      gap.bytes -= size;
      if (gap.bytes === 0) this.#gaps.splice(found, 1);
      return address;
    }
    const last = this.#gaps.at(-1);
    const address = last && last.address + last.bytes === this.#end ? last.address : this.#end;
    this.#growTo(address + size);
    if (address !== this.#end) this.#gaps.pop();
    this.#end = address + size;
    return address;
  }

  free(address: number, bytes: number): void {
    const size = Math.max(ALIGNMENT, Math.ceil(bytes / ALIGNMENT) * ALIGNMENT);
    let at = this.#gaps.findIndex((gap) => gap.address > address);
    if (at < 0) at = this.#gaps.length;
    this.#gaps.splice(at, 0, { address, bytes: size });
    for (const i of [at, at - 1]) {
      const [a, b] = [this.#gaps[i], this.#gaps[i + 1]];
      if (!a || !b || a.address + a.bytes !== b.address) continue;
      a.bytes += b.bytes;
      this.#gaps.splice(i + 1, 1);
    }
  }

  /** Makes sure that `bytes` more can be had, in one piece or many. @throws SDError `OUT_OF_MEMORY` */
  reserve(bytes: number): void {
    const free = this.#gaps.reduce((sum, gap) => sum + gap.bytes, 0);
    if (bytes > free) this.#growTo(this.#end + bytes - free);
  }

  /** Bytes in use. */
  get used(): number {
    return this.#end - HEAP - this.#gaps.reduce((sum, gap) => sum + gap.bytes, 0);
  }

  // Views are made anew each time: growing detaches them, or leaves them short where memory is shared.
  bytes(address: number, count: number): Uint8Array {
    return new Uint8Array(this.memory.buffer, address, count);
  }

  floats(address: number, count: number): Float32Array {
    return new Float32Array(this.memory.buffer, address, count);
  }

  integers(address: number, count: number): Int32Array {
    return new Int32Array(this.memory.buffer, address, count);
  }

  #growTo(end: number): void {
    const missing = end - this.memory.buffer.byteLength;
    if (missing <= 0) return;
    // The last page stays out of use: an address past the end must not wrap to 0.
    if (end > (MAX_PAGES - 1) * PAGE) throw outOfMemory(end);
    const pages = Math.ceil(missing / PAGE);
    for (const more of [Math.max(pages, GROWTH / PAGE), pages])
      try {
        this.memory.grow(more);
        return;
      } catch (cause) {
        if (more === pages) throw outOfMemory(end, cause);
      }
  }
}

function outOfMemory(bytes: number, cause?: unknown): SDError {
  return new SDError(
    'OUT_OF_MEMORY',
    `The CPU engine would need ${(bytes / 2 ** 30).toFixed(2)} GiB and cannot have it. ` +
      'Use a smaller picture, a smaller batch, or int8 weights.',
    { cause },
  );
}

function createMemory(shared: boolean): WebAssembly.Memory {
  const initial = HEAP / PAGE + 1;
  // A shared memory reserves its maximum at once, which small devices refuse.
  for (let maximum = MAX_PAGES; ; maximum /= 2)
    try {
      return new WebAssembly.Memory({ initial, maximum, shared });
    } catch (cause) {
      if (maximum <= 4096)
        throw new SDError('OUT_OF_MEMORY', 'The CPU engine could not reserve memory.', { cause });
    }
}
