import type { Picture } from '../image.ts';
import type { ScheduleInfo, TokenCount } from '../inspect.ts';
import type { GenerateRequest, PromptSyntax, Step } from '../options.ts';
import type { Progress } from '../progress.ts';

// What passes between the page and its worker. Calls and their answers go through comlink on a port
// of their own; what happens during a call goes through one more port, given with the call.

/** Sent by a worker once its script runs, and again in answer to a hello. */
export interface ReadyMessage {
  readonly sd: 'ready';
  readonly version: string;
}
/** Asks for a ready: the first one comes before anyone listens where an app made the worker. */
export interface HelloMessage {
  readonly sd: 'hello';
}
/** Begins the conversation. */
export interface ConnectMessage {
  readonly sd: 'connect';
  readonly port: MessagePort;
  readonly assets: Assets;
  /** The name of a Web Lock to hold: the page learns of our death by getting it. */
  readonly lock: string;
}

/**
 * Makes another worker of the same script a thread of the first one's engine. On the port's other end the
 * page says `up` before, or `failed` where it can make no worker.
 */
export interface ThreadMessage {
  readonly sd: 'thread';
  /** Brings the thread's start, and null once it is not needed any more. */
  readonly port: MessagePort;
}

/** The answer to a connect on its port, once the lock is held; where there are no locks it stays out. */
export interface LockedMessage {
  readonly sd: 'locked';
}

/** The files that the worker needs; URLs are absolute, since a worker from a blob has no place. */
export interface Assets {
  /** URLs or contents, by file name, such as `tokenizer.wasm`. */
  readonly wasm: Readonly<Record<string, string | ArrayBuffer>>;
  /** CLIP's byte-pair merges, for checkpoints that are one file. */
  readonly merges: string;
  /** URL of the module that reads other programs' files. */
  readonly formats: string;
}

/** The engine: WebGPU, WebAssembly, or the better one of those that run here. */
export type BackendChoice = 'auto' | 'webgpu' | 'wasm';
/** How weights are kept in memory: 32-bit or 16-bit floats, or 8-bit integers with scales. */
export type Dtype = 'f32' | 'f16' | 'i8';
/** Whether all parts of a model stay in memory, or only the one in use. */
export type Memory = 'normal' | 'low';

/** Parts of a model that hold weights, by diffusers' names. */
export type PartName = 'text_encoder' | 'text_encoder_2' | 'unet' | 'vae' | 'preview';

/** Where a model is: a folder on a server, or one that a person opened. */
export type ModelLocation =
  | { readonly kind: 'url'; readonly url: string }
  | { readonly kind: 'files'; readonly files: readonly { path: string; file: Blob }[] }
  | { readonly kind: 'directory'; readonly handle: FileSystemDirectoryHandle };

/** A LoRA file, and how strongly it acts on the UNet and on the text encoders. */
export interface LoraRequest {
  readonly file: ModelLocation;
  readonly unet: number;
  readonly text: number;
}

/** A textual inversion, and the word that stands for it; default: the file's own. */
export interface EmbeddingRequest {
  readonly file: ModelLocation;
  readonly token: string | undefined;
}

export interface LoadRequest {
  readonly model: ModelLocation;
  readonly backend: BackendChoice;
  readonly dtype: Dtype;
  readonly variant: string | undefined;
  /** Whether the imported model is kept on the device. Default true. */
  readonly keep?: boolean;
  /** Which weights of a checkpoint that holds both. Default: the averaged ones. */
  readonly weights?: 'ema' | 'raw';
  /** Overrules what a single file seems to predict. */
  readonly predictionType?: 'epsilon' | 'v_prediction';
  /** Parts from other places, by the names of diffusers. */
  readonly parts?: Readonly<Partial<Record<PartName, ModelLocation>>>;
  /** Merged into the weights as they are loaded. */
  readonly loras?: readonly LoraRequest[];
  readonly embeddings?: readonly EmbeddingRequest[];
  /** Whether the model's parts stay in memory, or only the one in use. Default `normal`. */
  readonly memory?: Memory;
  /** At most so many threads on the CPU; undefined leaves it to the machine. */
  readonly threads: number | undefined;
}

/** What was loaded, and onto what. */
export interface ModelInfo {
  /** The engine in use: `webgpu` or `wasm`. */
  readonly backend: string;
  /** What the engine found: the GPU, threads, the kind of SIMD. */
  readonly device: string;
  /** In pixels, what the model was trained at. */
  readonly width: number;
  readonly height: number;
  /** Width and height must be multiples of this. */
  readonly sizeStep: number;
  readonly dtype: Dtype;
  /** Sentences a person should know, such as why the GPU is not used. */
  readonly notices: readonly string[];
}

/** What a run gives back across the border. */
export interface GenerateReply {
  readonly pictures: Picture[];
  readonly seeds: number[];
  readonly latents: Float32Array;
  readonly notices: string[];
  /** Milliseconds by stage. */
  readonly timings: Record<string, number>;
}

/** The worker's side. Every call takes a port for what happens during it. */
export interface WorkerApi {
  load(request: LoadRequest, events: MessagePort): Promise<ModelInfo>;
  generate(request: GenerateRequest, events: MessagePort): Promise<GenerateReply>;
  schedule(request: GenerateRequest, events: MessagePort): Promise<ScheduleInfo>;
  countTokens(
    request: { prompt: string; syntax: PromptSyntax },
    events: MessagePort,
  ): Promise<TokenCount>;
  /** Puts these in the place of the LoRAs that the model wears. */
  setLoras(request: readonly LoraRequest[], events: MessagePort): Promise<void>;
}

/** From the worker during a call. `end` comes before the answer, so that no event comes after it. */
export type CallEvent =
  | { readonly type: 'progress'; readonly progress: Progress }
  | { readonly type: 'step'; readonly step: Step<Picture> }
  /** Asks for a thread of the CPU engine, which listens on `port`; see {@link ThreadMessage}. */
  | { readonly type: 'thread'; readonly port: MessagePort }
  | { readonly type: 'end' };
/** To the worker during a call. */
export interface AbortMessage {
  readonly type: 'abort';
}
