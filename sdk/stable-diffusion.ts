import { locateLoras, type LoraOption } from './adapters.ts';
import { probe, type Availability } from './availability.ts';
import { isSDError, SDError } from './errors.ts';
import { GeneratedImage, PixelImage, toPicture, type Picture } from './image.ts';
import type { ScheduleInfo, TokenCount } from './inspect.ts';
import { loadRequest, type LoadOptions } from './load-options.ts';
import type { ModelSource } from './location.ts';
import {
  validateOptions,
  type CheckedOptions,
  type GenerateOptions,
  type GenerateRequest,
  type PromptSyntax,
  type Step,
} from './options.ts';
import type { Progress } from './progress.ts';
import { abortError, Queue } from './queue.ts';
import { storedModels, type StoredModels } from './stored-models.ts';
import { assets } from './worker/assets.ts';
import type { GenerateReply, LoadRequest, ModelInfo } from './worker/protocol.ts';
import { RemoteWorker, type CallHooks } from './worker/remote.ts';
import { spawnWorker, type WorkerSource } from './worker/spawn.ts';

/** Safari has no such symbol yet; what compiles `await using` for it looks for this one. */
const asyncDispose: typeof Symbol.asyncDispose =
  Symbol.asyncDispose ?? Symbol.for('Symbol.asyncDispose');

const ALONE =
  'One thread: the worker was given ready-made. Give its URL, or a function that makes one, for more.';

/** What a call to {@link StableDiffusion.generate} made. */
export interface GenerateResult {
  /** The first picture. */
  readonly image: GeneratedImage;
  /** All of them; the pictures of one prompt together. */
  readonly images: readonly GeneratedImage[];
  /** The seed of the first picture. */
  readonly seed: number;
  /** The final latents, NCHW, as the UNet sees them. */
  readonly latents: Float32Array;
  /** What a person should know: a prompt that was cut, an option without effect. */
  readonly notices: readonly string[];
  /** Milliseconds by stage; `total` is what the caller waited, without the queue. */
  readonly timings: Readonly<Record<string, number>>;
}

/** One item of {@link StableDiffusion.stream}: a step that is done, and at last the result. */
export type StreamItem =
  ({ readonly type: 'step' } & Step) | { readonly type: 'result'; readonly result: GenerateResult };

/**
 * A model on this device, in a worker of its own.
 *
 * ```ts
 * const sd = await StableDiffusion.load('https://example.org/my-model/');
 * const { image } = await sd.generate({ prompt: 'a lake at dawn', steps: 20, seed: 7 });
 * document.body.append(image.toCanvas());
 * ```
 */
export class StableDiffusion {
  #request: LoadRequest;
  readonly #source: WorkerSource | undefined;
  readonly #onProgress: ((progress: Progress) => void) | undefined;
  readonly #queue: Queue;
  /** Undefined from the worker's death to the next call. */
  #worker: RemoteWorker | undefined;
  #info: ModelInfo | undefined;
  #disposed = false;
  #joined: Promise<unknown> = Promise.resolve();

  private constructor(request: LoadRequest, options: LoadOptions) {
    this.#request = request;
    this.#source = options.worker;
    this.#onProgress = options.onProgress;
    this.#queue = new Queue(options.busy ?? 'queue');
  }

  /**
   * Loads a model.
   * @param source the URL of a diffusers folder or of a single `.safetensors` or `.ckpt` file, or
   *   what a person opened: such a file, the files of an `<input webkitdirectory>`, or the handle of
   *   `showDirectoryPicker()`
   * @throws SDError INVALID_OPTION, MISSING_FILE, INVALID_MODEL, INVALID_FILE, WEIGHTS_MISMATCH,
   *   NETWORK, BACKEND_UNAVAILABLE, OUT_OF_MEMORY, WORKER_FAILED, ABORTED
   */
  static async load(source: ModelSource, options: LoadOptions = {}): Promise<StableDiffusion> {
    const handle = new StableDiffusion(loadRequest(source, options), options);
    try {
      await handle.#ready(options.signal);
    } catch (error) {
      await handle.dispose();
      throw error;
    }
    return handle;
  }

  /** The models that were imported on this device: list, delete, usage. */
  static readonly models: StoredModels = storedModels;

  /** What this browser can do, without loading anything. */
  static availability(): Promise<Availability> {
    return probe();
  }

  /** What was loaded, and onto what. */
  get info(): ModelInfo {
    return this.#info!;
  }

  /**
   * Draws pictures.
   * @throws SDError INVALID_OPTION, INVALID_PROMPT before any work; ABORTED, BUSY, DISPOSED,
   *   OUT_OF_MEMORY, DEVICE_LOST, WORKER_FAILED. The handle can be used again after any but DISPOSED.
   */
  generate(options: GenerateOptions): Promise<GenerateResult>;
  /**
   * The short form.
   * @param strength acts on `options.image`; without one the result carries a notice.
   */
  generate(
    prompt: string,
    negativePrompt?: string,
    strength?: number,
    options?: Omit<GenerateOptions, 'prompt' | 'negativePrompt' | 'strength'>,
  ): Promise<GenerateResult>;
  async generate(
    first: GenerateOptions | string,
    negativePrompt?: string,
    strength?: number,
    rest?: Omit<GenerateOptions, 'prompt' | 'negativePrompt' | 'strength'>,
  ): Promise<GenerateResult> {
    const options =
      typeof first === 'string' ? { ...rest, prompt: first, negativePrompt, strength } : first;
    const checked = validateOptions(options);
    this.#checkAlive();
    const request = await this.#inOrder(withPictures(checked, options.signal));
    return this.#queue.add(options.signal, async (signal, hold) => {
      const begin = performance.now();
      const worker = await this.#ready(signal);
      const hooks: CallHooks = {
        signal,
        onProgress: options.onProgress,
        onStep: (step) => options.onStep?.(withImages(step)),
      };
      const { result, settled } = worker.call('generate', request, hooks);
      hold(settled);
      const reply = await result.catch((error: unknown) => {
        // What was on the GPU is lost with it: the next call loads anew.
        if (isSDError(error) && error.code === 'DEVICE_LOST') worker.end(error);
        throw error;
      });
      return toResult(reply, checked.notices, performance.now() - begin);
    });
  }

  /**
   * Draws pictures and shows them on the way. Leaving the loop stops the run.
   *
   * ```ts
   * for await (const item of sd.stream({ prompt: 'a lake' })) {
   *   if (item.type === 'step') item.preview?.toCanvas(canvas);
   *   else item.result.image.toCanvas(canvas);
   * }
   * ```
   * @throws SDError as {@link generate}
   */
  async *stream(options: GenerateOptions): AsyncGenerator<StreamItem, void, undefined> {
    const controller = new AbortController();
    const follow = () => controller.abort(options.signal?.reason);
    if (options.signal?.aborted) follow();
    options.signal?.addEventListener('abort', follow);

    const items: StreamItem[] = [];
    let wake = () => {};
    const run = this.generate({
      ...options,
      preview: options.preview ?? 'rgb',
      signal: controller.signal,
      onStep: (step) => {
        options.onStep?.(step);
        items.push({ type: 'step', ...step });
        wake();
      },
    });
    let failure: unknown;
    let ended = false;
    run
      .then(
        (result) => void items.push({ type: 'result', result }),
        (error: unknown) => void (failure = error),
      )
      .finally(() => {
        ended = true;
        wake();
      });
    try {
      for (;;) {
        const item = items.shift();
        if (item) yield item;
        else if (ended) break;
        else await new Promise<void>((done) => (wake = done));
      }
      if (failure !== undefined) throw failure;
    } finally {
      options.signal?.removeEventListener('abort', follow);
      controller.abort();
    }
  }

  /**
   * Where a run with these options would evaluate the model, without running it.
   * @throws SDError INVALID_OPTION, DISPOSED
   */
  async schedule(options: Omit<GenerateOptions, 'prompt'> = {}): Promise<ScheduleInfo> {
    const { request } = validateOptions({ ...options, prompt: '' });
    const { signal } = options;
    const worker = await this.#ready(signal);
    const wanted = { ...request, image: undefined, mask: undefined };
    return worker.call('schedule', wanted, { signal }).result;
  }

  /**
   * Puts these in the place of all LoRAs that the model wears, between two runs and without loading it
   * again: the weights that they change are merged anew. `[]` takes them off, and the weights are then
   * bit for bit what they were. Once begun it is not stopped by newer calls.
   * @throws SDError as {@link load}, and BUSY; the model then wears what it wore
   */
  async setLoras(loras: readonly LoraOption[]): Promise<void> {
    const located = locateLoras(loras);
    this.#checkAlive();
    await this.#inOrder(Promise.resolve());
    await this.#queue.add(undefined, async (signal, hold) => {
      const worker = await this.#ready(signal);
      // Without the signal: a call that rejects while the worker goes on would leave in doubt what it wears.
      const { result, settled } = worker.call('setLoras', located);
      hold(settled);
      await result.catch((error: unknown) => {
        if (isSDError(error) && ['DEVICE_LOST', 'WORKER_FAILED'].includes(error.code))
          worker.end(error);
        throw error;
      });
      this.#request = { ...this.#request, loras: located };
    });
  }

  /**
   * How long a prompt is, and what of it the model would not see.
   * @throws SDError INVALID_OPTION, INVALID_PROMPT, DISPOSED
   */
  async countTokens(prompt: string, syntax: PromptSyntax = 'plain'): Promise<TokenCount> {
    validateOptions({ prompt, syntax });
    const worker = await this.#ready(undefined);
    return worker.call('countTokens', { prompt, syntax }, {}).result;
  }

  /** Frees everything; calls that run or wait reject with ABORTED. May be called more than once. */
  async dispose(): Promise<void> {
    if (this.#disposed) return;
    this.#disposed = true;
    const error = new SDError('ABORTED', 'dispose() was called during the run.');
    this.#queue.clear(error);
    this.#worker?.end(error);
    this.#worker = undefined;
  }

  /** For `await using`. */
  [asyncDispose](): Promise<void> {
    return this.dispose();
  }

  /** The worker with the model loaded; a new one where there is none or it died. */
  async #ready(signal: AbortSignal | undefined): Promise<RemoteWorker> {
    this.#checkAlive();
    if (this.#worker && !this.#worker.error) return this.#worker;
    if (signal?.aborted) throw abortError(signal);
    const spawned = await spawnWorker(this.#source);
    const worker = new RemoteWorker(spawned, assets());
    this.#worker = worker;
    try {
      if (this.#disposed) throw new SDError('ABORTED', 'dispose() was called during the load.');
      const hooks: CallHooks = { signal, onProgress: this.#onProgress };
      const request = spawned.another ? this.#request : { ...this.#request, threads: 1 };
      const info = await worker.call('load', request, hooks).result;
      const isAlone = !spawned.another && info.backend === 'wasm' && crossOriginIsolated;
      this.#info = isAlone ? { ...info, notices: [...info.notices, ALONE] } : info;
      return worker;
    } catch (error) {
      // A half-loaded worker is of no use; the next call starts over.
      worker.end(error as SDError);
      throw error;
    }
  }

  /** Calls join the queue in the order they were made, however long their pictures take to decode. */
  async #inOrder<T>(prepared: Promise<T>): Promise<T> {
    const before = this.#joined;
    this.#joined = Promise.allSettled([before, prepared]);
    await before;
    return prepared;
  }

  #checkAlive(): void {
    if (this.#disposed)
      throw new SDError('DISPOSED', 'This model was disposed of; load it again to use it.');
  }
}

async function withPictures(
  checked: CheckedOptions,
  signal: AbortSignal | undefined,
): Promise<GenerateRequest> {
  if (signal?.aborted) throw abortError(signal);
  const { mask: given } = checked;
  const [image, drawn] = await Promise.all(
    [checked.image, given === 'alpha' ? undefined : given].map((input) =>
      input === undefined ? undefined : toPicture(input, signal),
    ),
  );
  const mask = given === 'alpha' ? given : drawn;
  return { ...checked.request, image, mask };
}

/** Gives the pictures of a step their ways out. */
function withImages({ preview, guidance, ...step }: Step<Picture>): Step {
  const shown = <T extends { preview?: Picture }>(of: T) => ({
    ...of,
    preview: of.preview && new PixelImage(of.preview),
  });
  return {
    ...step,
    ...shown({ preview }),
    guidance: guidance && {
      ...guidance,
      conditioned: shown(guidance.conditioned),
      unconditioned: guidance.unconditioned && shown(guidance.unconditioned),
    },
  };
}

function toResult(reply: GenerateReply, notices: string[], total: number): GenerateResult {
  const images = reply.pictures.map((picture, i) => new GeneratedImage(picture, reply.seeds[i]));
  return {
    image: images[0],
    images,
    seed: images[0].seed,
    latents: reply.latents,
    notices: [...notices, ...reply.notices],
    timings: { ...reply.timings, total },
  };
}
