import * as comlink from 'comlink';
import { SDError } from '../errors.ts';
import type { Picture } from '../image.ts';
import type { Step } from '../options.ts';
import type { Progress } from '../progress.ts';
import { abortError } from '../queue.ts';
import { receiveErrors } from './errors.ts';
import type {
  Assets,
  CallEvent,
  ConnectMessage,
  LockedMessage,
  ThreadMessage,
  WorkerApi,
} from './protocol.ts';
import type { SpawnedWorker } from './spawn.ts';

/** What the page wants to hear of a call while it runs. */
export interface CallHooks {
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: Progress) => void;
  readonly onStep?: (step: Step<Picture>) => void;
}

export interface Call<T> {
  /** Rejects at once when the signal fires. */
  readonly result: Promise<T>;
  /** Resolves when the worker has really stopped; the next call waits for it. */
  readonly settled: Promise<void>;
}

/** After an abort the worker has this long (ms) to reach the next operation's end. */
const ABORT_PATIENCE = 30_000;

/**
 * The page's end of one worker. comlink alone would leave calls waiting for ever when the worker
 * dies, and knows no signals; both are closed here.
 */
export class RemoteWorker {
  readonly #worker: Worker;
  readonly #another: SpawnedWorker['another'];
  /** Of its engine. */
  readonly #threads: Worker[] = [];
  /** Kept for as long as we live: comlink closes the port of a proxy that was collected. */
  readonly #api: comlink.Remote<WorkerApi>;
  readonly #port: MessagePort;
  readonly #watch = new AbortController();
  #fail: (error: SDError) => void = () => {};
  #error: SDError | undefined;
  /** Never resolves; rejects when the worker dies or is ended. */
  readonly #death: Promise<never>;

  constructor({ worker, another }: SpawnedWorker, assets: Assets) {
    receiveErrors();
    this.#worker = worker;
    this.#another = another;
    this.#death = new Promise<never>((_, reject) => (this.#fail = reject));
    this.#death.catch(() => {});
    worker.addEventListener('error', this.#onError);
    worker.addEventListener('messageerror', this.#onError);

    const { port1, port2 } = new MessageChannel();
    const lock = `stable-diffusion-web/worker/${crypto.randomUUID()}`;
    const connect: ConnectMessage = { sd: 'connect', port: port2, assets, lock };
    worker.postMessage(connect, [port2]);
    this.#port = port1;
    this.#api = comlink.wrap<WorkerApi>(port1);
    port1.addEventListener('message', (event) => {
      if ((event.data as Partial<LockedMessage> | null)?.sd === 'locked') this.#watchLock(lock);
    });
  }

  /** Why the worker is gone; undefined while it lives. */
  get error(): SDError | undefined {
    return this.#error;
  }

  call<Name extends keyof WorkerApi>(
    name: Name,
    request: Parameters<WorkerApi[Name]>[0],
    hooks: CallHooks = {},
  ): Call<Awaited<ReturnType<WorkerApi[Name]>>> {
    type Result = Awaited<ReturnType<WorkerApi[Name]>>;
    const { signal } = hooks;
    const channel = new MessageChannel();
    const events = channel.port1;
    let patience: ReturnType<typeof setTimeout> | undefined;

    const ended = new Promise<void>((done) => {
      events.onmessage = ({ data }: MessageEvent<CallEvent | undefined>) => {
        if (data?.type === 'end') done();
        else if (data?.type === 'thread') this.#makeThread(data.port);
        else if (signal?.aborted) return;
        else if (data?.type === 'progress') hooks.onProgress?.(data.progress);
        else if (data?.type === 'step') hooks.onStep?.(data.step);
      };
    });
    const aborted = new Promise<never>((_, reject) => {
      const onAbort = () => {
        reject(abortError(signal));
        events.postMessage({ type: 'abort' });
        patience = setTimeout(
          () => this.end(dead('It did not stop when told to.')),
          ABORT_PATIENCE,
        );
      };
      if (signal?.aborted) onAbort();
      else signal?.addEventListener('abort', onAbort, { signal: this.#watch.signal });
      ended.finally(() => signal?.removeEventListener('abort', onAbort));
    });
    aborted.catch(() => {});

    const invoke = this.#api[name] as unknown as (
      request: unknown,
      events: MessagePort,
    ) => Promise<Result>;
    const answered = Promise.race([
      this.#death,
      invoke(request, comlink.transfer(channel.port2, [channel.port2])).then(async (result) => {
        await ended;
        return result;
      }),
    ]).finally(() => {
      clearTimeout(patience);
      events.close();
    });
    return {
      result: Promise.race([aborted, answered]),
      settled: answered.then(
        () => {},
        () => {},
      ),
    };
  }

  /** Stops the worker, and its threads with it; calls that run reject with `error`. */
  end(error: SDError): void {
    if (this.#error) return;
    this.#error = error;
    this.#watch.abort();
    this.#worker.removeEventListener('error', this.#onError);
    this.#worker.removeEventListener('messageerror', this.#onError);
    for (const worker of [this.#worker, ...this.#threads]) worker.terminate();
    this.#port.close();
    this.#fail(error);
  }

  async #makeThread(port: MessagePort): Promise<void> {
    try {
      const thread = await this.#another!();
      this.#threads.push(thread);
      if (this.#error) return thread.terminate();
      // The engine would wait for it for ever.
      thread.addEventListener('error', this.#onError);
      port.postMessage('up');
      thread.postMessage({ sd: 'thread', port } satisfies ThreadMessage, [port]);
    } catch {
      // The engine does without it.
      port.postMessage('failed');
    }
  }

  readonly #onError = (event: Event): void => {
    event.preventDefault();
    const { message } = event as ErrorEvent;
    this.end(dead(message || 'It stopped without a message; often the device is out of memory.'));
  };

  /** A worker that is killed for its memory fires no event, but it lets go of its lock. */
  #watchLock(name: string): void {
    const { signal } = this.#watch;
    if (signal.aborted) return;
    navigator.locks
      .request(name, { signal }, () => this.end(dead('The browser stopped it.')))
      .catch(() => {});
  }
}

function dead(reason: string): SDError {
  return new SDError(
    'WORKER_FAILED',
    `The worker died during its work. ${reason} The next call starts a new one.`,
    { retryable: true },
  );
}
