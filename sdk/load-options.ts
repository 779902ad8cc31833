import {
  locateEmbeddings,
  locateLoras,
  type EmbeddingOption,
  type LoraOption,
} from './adapters.ts';
import { SDError } from './errors.ts';
import { locate, type ModelSource } from './location.ts';
import type { Progress } from './progress.ts';
import type { BusyPolicy } from './queue.ts';
import type { BackendChoice, Dtype, LoadRequest, Memory, PartName } from './worker/protocol.ts';
import type { WorkerSource } from './worker/spawn.ts';

/** How a model is loaded, and onto what. */
export interface LoadOptions {
  /** The engine. Default `'auto'`: WebGPU where there is one, else WebAssembly. */
  backend?: BackendChoice;
  /** How weights are kept: `'f16'` (default), `'f32'`, or `'i8'` for half the memory of f16. */
  dtype?: Dtype;
  /** The variant's name in the file names of a folder, such as `'fp16'`. */
  variant?: string;
  /** Whether the imported model is kept on this device for the next time. Default true. */
  keep?: boolean;
  /** Which weights of a checkpoint that holds both: averaged (default) or as trained. */
  weights?: 'ema' | 'raw';
  /** What the model predicts, where a single file is read wrongly. */
  predictionType?: 'epsilon' | 'v_prediction';
  /**
   * Parts from other places, such as `{ vae: 'https://…/vae.safetensors' }`. `preview` is an autoencoder
   * for previews alone, such as TAESD, which `preview: 'vae'` then shows instead of the whole VAE.
   */
  parts?: Partial<Record<PartName, ModelSource>>;
  /** LoRA files to merge into the weights, as many as you like. */
  loras?: readonly LoraOption[];
  /** Textual inversions: words that prompts may then use. */
  embeddings?: readonly EmbeddingOption[];
  /**
   * `'low'` keeps in memory only the part of the model that is in use: the text encoder, then the UNet,
   * then the VAE. Each is read again for every picture, from this device where it is kept, which takes
   * seconds. Previews by the VAE are refused then. Default `'normal'`.
   */
  memory?: Memory;
  /** At most so many CPU threads. Default: as many as the device has cores. */
  threads?: number;
  /** What a call does while another runs: wait its turn (default), or stop the other (`BUSY`). */
  busy?: BusyPolicy;
  /** A worker of the app's own, where the SDK's own ways to start one do not suit. */
  worker?: WorkerSource;
  /** Stops the load. */
  signal?: AbortSignal;
  /** Called at most some ten times a second, and at the end of every phase. */
  onProgress?: (progress: Progress) => void;
}

/** Options checked and completed: plain data that crosses to the worker. @throws SDError INVALID_OPTION */
export function loadRequest(source: ModelSource, options: LoadOptions): LoadRequest {
  const {
    backend = 'auto',
    dtype = 'f16',
    keep = true,
    variant,
    threads,
    memory = 'normal',
  } = options;
  const { weights = 'ema', predictionType, parts = {}, loras = [], embeddings = [] } = options;
  const check = (name: string, value: unknown, all: readonly unknown[]) => {
    if (!all.includes(value))
      throw new SDError(
        'INVALID_OPTION',
        `${name} must be one of ${all.join(', ')}, not ${String(value)}.`,
      );
  };
  check('backend', backend, ['auto', 'webgpu', 'wasm']);
  check('dtype', dtype, ['f32', 'f16', 'i8']);
  check('keep', keep, [true, false]);
  check('weights', weights, ['ema', 'raw']);
  check('memory', memory, ['normal', 'low']);
  check('predictionType', predictionType, [undefined, 'epsilon', 'v_prediction']);
  for (const part of Object.keys(parts))
    check('a name in parts', part, ['text_encoder', 'text_encoder_2', 'unet', 'vae', 'preview']);
  check('busy', options.busy ?? 'queue', ['queue', 'abort']);
  if (threads !== undefined && (!Number.isInteger(threads) || threads < 1 || threads > 64))
    throw new SDError('INVALID_OPTION', `threads must be an integer from 1 to 64, not ${threads}.`);
  return {
    ...{ model: locate(source), backend, dtype, keep, variant, threads, weights, predictionType },
    parts: Object.fromEntries(
      Object.entries(parts).map(([part, place]) => [part, locate(place)] as const),
    ),
    memory,
    loras: locateLoras(loras),
    embeddings: locateEmbeddings(embeddings),
  };
}
