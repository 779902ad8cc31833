import * as comlink from 'comlink';
import { SDError } from '../errors.ts';
import type { Picture } from '../image.ts';
import type { ScheduleInfo, TokenCount } from '../inspect.ts';
import type { GenerateRequest, PromptSyntax, Step } from '../options.ts';
import { ProgressReporter, type Progress } from '../progress.ts';
import { VERSION } from '../version.ts';
import { sendErrors } from './errors.ts';
import type {
  Assets,
  CallEvent,
  ConnectMessage,
  GenerateReply,
  HelloMessage,
  LoadRequest,
  LockedMessage,
  LoraRequest,
  ModelInfo,
  ReadyMessage,
  ThreadMessage,
  WorkerApi,
} from './protocol.ts';

/** What a call may tell while it runs, and what can stop it. */
export interface CallContext {
  readonly signal: AbortSignal;
  readonly onProgress: (progress: Progress) => void;
  readonly onStep: (step: Step<Picture>) => void;
  /** Has the page make a thread of the CPU engine that listens on `port`. */
  readonly makeThread: (port: MessagePort) => void;
}

/** A loaded model. Calls do not overlap. */
export interface Model {
  readonly info: ModelInfo;
  generate(request: GenerateRequest, context: CallContext): Promise<GenerateReply>;
  schedule(request: GenerateRequest): ScheduleInfo;
  countTokens(prompt: string, syntax: PromptSyntax): TokenCount;
  setLoras(requests: readonly LoraRequest[]): Promise<void>;
}

export type OpenModel = (request: LoadRequest, context: CallContext) => Promise<Model>;

/** The global scope of a worker, as far as it is used here. */
export interface WorkerScope {
  postMessage(message: unknown): void;
  addEventListener(type: 'message', listener: (event: MessageEvent) => void): void;
}

/**
 * Says that the worker is ready, and answers the page that connects; or is a thread, where the page says so.
 * One file in two roles, so that an app has one worker to serve and bundlers one to find.
 */
export function attend(
  scope: WorkerScope,
  openWith: (assets: Assets) => OpenModel,
  beThread: (port: MessagePort) => void,
): void {
  sendErrors();
  const ready: ReadyMessage = { sd: 'ready', version: VERSION };
  type Message = HelloMessage | ConnectMessage | ThreadMessage;
  scope.addEventListener('message', ({ data }: MessageEvent<Message>) => {
    if (data?.sd === 'hello') scope.postMessage(ready);
    else if (!(data?.port instanceof MessagePort)) return;
    else if (data.sd === 'thread') beThread(data.port);
    else if (data.sd === 'connect') {
      serve(data.port, openWith(data.assets));
      holdLock(data.lock, data.port);
    }
  });
  scope.postMessage(ready);
}

/** Held until this worker is gone, however it goes. Opaque origins have no locks. */
function holdLock(name: string, port: MessagePort): void {
  if (typeof navigator === 'undefined' || !navigator.locks) return;
  const forever = () => {
    port.postMessage({ sd: 'locked' } satisfies LockedMessage);
    return new Promise<never>(() => {});
  };
  navigator.locks.request(name, forever).catch(() => {});
}

/** Answers the calls of one page on `port` with what `open` gives. */
function serve(port: MessagePort, open: OpenModel): void {
  let model: Model | undefined;
  const loaded = (): Model => {
    if (!model) throw new SDError('INTERNAL', 'A call came before load.');
    return model;
  };
  const api: WorkerApi = {
    load: (request, events) =>
      during(events, async (context) => {
        model = await open(request, context);
        return model.info;
      }),
    schedule: (request, events) => during(events, async () => loaded().schedule(request)),
    countTokens: ({ prompt, syntax }, events) =>
      during(events, async () => loaded().countTokens(prompt, syntax)),
    setLoras: (request, events) => during(events, () => loaded().setLoras(request)),
    generate: (request, events) =>
      during(events, async (context) => {
        const reply = await loaded().generate(request, context);
        const buffers = reply.pictures.map((picture) => picture.data.buffer);
        return comlink.transfer(reply, [...buffers, reply.latents.buffer] as ArrayBuffer[]);
      }),
  };
  comlink.expose(api, port);
}

/** Runs `work` with its own signal and reports, both over `events`. */
async function during<T>(
  events: MessagePort,
  work: (context: CallContext) => Promise<T>,
): Promise<T> {
  const controller = new AbortController();
  // The only message that comes this way is the abort.
  events.onmessage = () => controller.abort();
  const send = (event: CallEvent, transfer: Transferable[] = []) =>
    events.postMessage(event, transfer);
  const reporter = new ProgressReporter((progress) => send({ type: 'progress', progress }));
  try {
    return await work({
      signal: controller.signal,
      onProgress: reporter.report,
      onStep: (step) =>
        send({ type: 'step', step }, step.preview ? [step.preview.data.buffer as ArrayBuffer] : []),
      makeThread: (port) => send({ type: 'thread', port }, [port]),
    });
  } finally {
    send({ type: 'end' });
  }
}
