import type { Device } from './device.ts';
import { COPY_DST, COPY_SRC, MAP_READ, QUERY_RESOLVE } from './usage.ts';

/** Begin and end, in nanoseconds as 64-bit integers. */
const BYTES = 16;

/**
 * Times compute passes: by the GPU's own clock where the device has timestamp queries, which leaves
 * out what waits in queues and crosses processes, else from the submit until the queue says it is
 * done. Browsers round the first to 100 µs and the second to that or more, so a pass should take some
 * milliseconds.
 */
export class Stopwatch {
  readonly #device: Device;
  readonly #queries: GPUQuerySet | undefined;
  readonly #buffers: readonly GPUBuffer[];
  #trusted: boolean;

  constructor(device: Device) {
    const { gpu } = device;
    this.#device = device;
    this.#trusted = gpu.features.has('timestamp-query');
    this.#queries = this.#trusted ? gpu.createQuerySet({ type: 'timestamp', count: 2 }) : undefined;
    this.#buffers = this.#trusted
      ? [QUERY_RESOLVE | COPY_SRC, COPY_DST | MAP_READ].map((usage) =>
          gpu.createBuffer({ label: 'timestamps', size: BYTES, usage }),
        )
      : [];
  }

  /** What {@link time} goes by: false where there are no timestamps, or they have proved wrong. */
  get hasTimestamps(): boolean {
    return this.#trusted;
  }

  /** Milliseconds of a pass of its own, in a submit of its own. @throws SDError `DEVICE_LOST`, `INTERNAL` */
  async time(encode: (pass: GPUComputePassEncoder) => void): Promise<number> {
    const { gpu } = this.#device;
    const encoder = gpu.createCommandEncoder();
    const querySet = this.#trusted ? this.#queries : undefined;
    const [resolved, staging] = this.#buffers;
    const pass = encoder.beginComputePass(
      querySet && {
        timestampWrites: { querySet, beginningOfPassWriteIndex: 0, endOfPassWriteIndex: 1 },
      },
    );
    encode(pass);
    pass.end();
    if (querySet) {
      encoder.resolveQuerySet(querySet, 0, 2, resolved, 0);
      encoder.copyBufferToBuffer(resolved, 0, staging, 0, BYTES);
    }
    const begin = performance.now();
    gpu.queue.submit([encoder.finish()]);
    await gpu.queue.onSubmittedWorkDone();
    const waited = performance.now() - begin;
    if (!querySet) return waited;
    await this.#device.mapped(staging, 'timestamps');
    const [from, to] = new BigInt64Array(staging.getMappedRange());
    staging.unmap();
    const ms = Number(to - from) / 1e6;
    // Drivers have written zeros, other clocks' numbers, and the end before the beginning.
    this.#trusted = ms >= 0 && ms <= waited + 1 && to !== 0n;
    return this.#trusted ? ms : waited;
  }

  dispose(): void {
    this.#queries?.destroy();
    for (const buffer of this.#buffers) buffer.destroy();
  }
}
