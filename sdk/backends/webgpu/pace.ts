import type { Device } from './device.ts';

/** Milliseconds that a submit should take: the page must stay alive, and watchdogs asleep. */
const TARGET = 120;

/** Sizes submits by how long earlier ones took, and keeps few of them in flight. */
export class Pace {
  readonly #device: Device;
  readonly #inFlight: number;
  /** Cost (see program.ts) per millisecond. */
  #speed: number;
  readonly #waiting: Promise<void>[] = [];
  #free = 0;
  #measured = false;

  /** @param inFlight submits that may wait on the GPU at once: one working, one ready behind it */
  constructor(device: Device, speed: number, inFlight = 2) {
    this.#device = device;
    this.#inFlight = inFlight;
    this.#speed = speed;
  }

  /** Cost that the next submit should have. */
  get budget(): number {
    return this.#speed * TARGET;
  }

  /** Takes a measured speed for the first guess; later submits correct it. */
  expect(speed: number): void {
    if (this.#measured) return;
    this.#measured = true;
    this.#speed = speed;
  }

  /** Call after each submit; resolves when another may follow. */
  async submitted(cost: number): Promise<void> {
    const begin = performance.now();
    const done = this.#device.gpu.queue.onSubmittedWorkDone().then(
      () => {
        const end = performance.now();
        // It could only begin when the one before it was done.
        const took = end - Math.max(begin, this.#free);
        this.#free = end;
        // Short ones say more about the queue than about the work.
        if (took > 2) this.#speed += 0.3 * (clamp(cost / took / this.#speed) - 1) * this.#speed;
      },
      () => {}, // a lost device is found by the next check
    );
    this.#waiting.push(done);
    if (this.#waiting.length >= this.#inFlight) await this.#waiting.shift();
  }
}

function clamp(ratio: number): number {
  return Math.min(4, Math.max(0.25, ratio));
}
