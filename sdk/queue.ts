import { SDError, isSDError } from './errors.ts';

/** What a call does while another runs: `queue` waits for it, `abort` stops it. */
export type BusyPolicy = 'queue' | 'abort';

/** Runs jobs one after the other, in the order they came. */
export class Queue {
  readonly #policy: BusyPolicy;
  readonly #controllers = new Set<AbortController>();
  #tail: Promise<void> = Promise.resolve();

  constructor(policy: BusyPolicy) {
    this.#policy = policy;
  }

  /**
   * @param job is given a signal that fires with the caller's or when it is superseded, and `hold`:
   *   the next job waits for what is held even where this one has already rejected
   */
  async add<T>(
    caller: AbortSignal | undefined,
    job: (signal: AbortSignal, hold: (settled: Promise<void>) => void) => Promise<T>,
  ): Promise<T> {
    if (this.#policy === 'abort')
      this.clear(new SDError('BUSY', 'A newer call took the place of this one.'));
    const controller = new AbortController();
    const { signal } = controller;
    const follow = () => controller.abort(caller!.reason);
    if (caller?.aborted) follow();
    caller?.addEventListener('abort', follow);
    this.#controllers.add(controller);

    const before = this.#tail;
    let held: Promise<void> | undefined;
    let release = () => {};
    this.#tail = new Promise((done) => (release = done));
    try {
      await Promise.race([before, whenAborted(signal)]);
      return await job(signal, (settled) => (held = settled));
    } finally {
      caller?.removeEventListener('abort', follow);
      this.#controllers.delete(controller);
      before.then(() => held).then(release);
    }
  }

  /** Stops what runs and drops what waits. */
  clear(error: SDError): void {
    for (const controller of this.#controllers) controller.abort(error);
  }
}

/** What a call rejects with when its signal fired. */
export function abortError(signal: AbortSignal | undefined): SDError {
  const reason: unknown = signal?.reason;
  if (isSDError(reason)) return reason;
  return new SDError('ABORTED', 'The call was aborted.', { cause: reason });
}

function whenAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, fail) => {
    const onAbort = () => fail(abortError(signal));
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort);
  });
}
