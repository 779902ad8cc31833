import type { Model, OpenModel } from '../../sdk/worker/serve.ts';
import { attend, type CallContext } from '../../sdk/worker/serve.ts';
import type {
  GenerateReply,
  LoadRequest,
  LoraRequest,
  ModelInfo,
} from '../../sdk/worker/protocol.ts';
import type { GenerateRequest } from '../../sdk/options.ts';

export const INFO: ModelInfo = {
  backend: 'wasm',
  device: 'fake',
  width: 64,
  height: 64,
  sizeStep: 8,
  dtype: 'f16',
  notices: [],
};

/** What a test wants its model to do. */
export interface Script {
  load?(request: LoadRequest, context: CallContext): Promise<void>;
  generate?(request: GenerateRequest, context: CallContext): Promise<void>;
  setLoras?(requests: readonly LoraRequest[]): Promise<void>;
}

/** The worker's half of the SDK on this thread, behind the few methods of a `Worker` that are used. */
export class FakeWorker extends EventTarget {
  terminated = false;
  readonly #inside: MessagePort;
  readonly #outside: MessagePort;

  constructor(script: Script = {}) {
    super();
    const { port1, port2 } = new MessageChannel();
    this.#outside = port1;
    this.#inside = port2;
    port1.onmessage = ({ data }) => this.dispatchEvent(new MessageEvent('message', { data }));
    const open: OpenModel = async (request, context): Promise<Model> => {
      await script.load?.(request, context);
      return {
        info: INFO,
        schedule: ({ steps }) => ({
          timesteps: Array.from({ length: steps }, (_, i) => 999 - i),
          sigmas: [],
          alphasCumprod: new Float32Array(1000),
        }),
        countTokens: (prompt) => ({ tokens: prompt.length, room: 75, chunks: 1, dropped: '' }),
        setLoras: async (wanted) => script.setLoras?.(wanted),
        generate: async (wanted, during) => {
          await script.generate?.(wanted, during);
          return reply(wanted);
        },
      };
    };
    attend(
      {
        postMessage: (message) => port2.postMessage(message),
        addEventListener: (_, listener) =>
          (port2.onmessage = listener as (event: MessageEvent) => void),
      },
      () => open,
      () => {},
    );
  }

  postMessage(message: unknown, transfer: Transferable[] = []): void {
    if (!this.terminated) this.#outside.postMessage(message, transfer as never);
  }

  terminate(): void {
    this.terminated = true;
    this.#outside.close();
    this.#inside.close();
  }

  /** As the browser tells of an error that nobody caught. */
  crash(message: string): void {
    this.dispatchEvent(Object.assign(new Event('error'), { message }));
  }
}

/** A picture whose pixels are its seed, so that results can be told apart. */
function reply(request: GenerateRequest): GenerateReply {
  const { width = INFO.width, height = INFO.height } = request;
  return {
    pictures: request.seed.map((seed) => ({
      width,
      height,
      data: new Uint8ClampedArray(width * height * 4).fill(seed),
    })),
    seeds: request.seed,
    latents: new Float32Array(4),
    notices: ['from the worker'],
    timings: { denoise: 1 },
  };
}
