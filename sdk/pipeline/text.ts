import type { Backend, WeightDtype } from '../backends/backend.ts';
import {
  endRows,
  parseClipTextConfig,
  traceClipText,
  type ClipTextConfig,
} from '../models/index.ts';
import type { Tokenizer } from '../tokenizer/tokenizer.ts';
import type { ModelSource, PartName } from './model-source.ts';
import { Part } from './part.ts';

/** What a prompt becomes: `context` `[tokens, dim]` and, for SDXL, `pooled` `[dim]`. */
export interface Conditioning {
  readonly tokens: number;
  readonly context: Float32Array;
  readonly pooled?: Float32Array;
}

/** One tokenizer with its CLIP. */
interface Encoder {
  readonly tokenizer: Tokenizer;
  readonly config: ClipTextConfig;
  readonly part: Part;
}

/**
 * The text side of a model: one CLIP (SD 1.x, 2.x), two side by side (SDXL), or the second alone
 * (the SDXL refiner).
 */
export class TextEncoders {
  /** SDXL takes the last layer but one, without the final norm, and the pooled state. */
  readonly isXl: boolean;
  readonly #encoders: readonly Encoder[];

  private constructor(encoders: readonly Encoder[], isXl: boolean) {
    this.#encoders = encoders;
    this.isXl = isXl;
  }

  static async load(
    source: ModelSource,
    backend: Backend,
    options: { dtype: WeightDtype; signal?: AbortSignal; onBytes?: (count: number) => void },
  ): Promise<TextEncoders> {
    const isXl = source.has('text_encoder_2');
    const encoders: Encoder[] = [];
    const parts = [
      ['text_encoder', 'tokenizer'],
      ['text_encoder_2', 'tokenizer_2'],
    ] as const;
    try {
      for (const [name, tokenizerName] of parts) {
        if (!source.has(name)) continue;
        const tokenizer = await source.tokenizer(tokenizerName);
        const config = parseClipTextConfig(await source.config(name));
        const { params } = traceWhole(config, name);
        const part = await Part.load(source, name, params, backend, { ...options, keep: 2 });
        encoders.push({ tokenizer, config, part });
      }
    } catch (error) {
      for (const { part } of encoders) part.dispose();
      throw error;
    }
    return new TextEncoders(encoders, isXl);
  }

  get contextDim(): number {
    return this.#encoders.reduce((sum, { config }) => sum + config.width, 0);
  }

  get pooledDim(): number {
    const { config } = this.#encoders[this.#encoders.length - 1];
    return config.projectionDim;
  }

  /** What "nothing" is where the model wants zeros for it. */
  zeros(): Conditioning {
    const tokens = this.#encoders[0].config.maxTokens;
    const context = new Float32Array(tokens * this.contextDim);
    return { tokens, context, pooled: this.isXl ? new Float32Array(this.pooledDim) : undefined };
  }

  /**
   * Encodes one prompt.
   * @param skip layers left out at the end, as diffusers counts `clip_skip`
   */
  async encode(
    prompt: string,
    options: { skip: number; signal?: AbortSignal; onNotice?: (message: string) => void },
  ): Promise<Conditioning> {
    const { skip, signal, onNotice } = options;
    const states: Float32Array[] = [];
    let pooled: Float32Array | undefined;
    for (const { tokenizer, config, part } of this.#encoders) {
      const { ids, dropped } = tokenizer.encodeForModel(prompt);
      if (dropped && states.length === 0)
        onNotice?.(
          `The prompt is longer than ${tokenizer.modelMaxLength - 2} tokens. Left out: “${dropped}”.`,
        );
      const isLast = states.length === this.#encoders.length - 1;
      const shape = {
        batch: 1,
        tokens: ids.length,
        skip: this.isXl ? skip + 1 : skip,
        finalNorm: !this.isXl,
        pooled: this.isXl && isLast ? ('projected' as const) : undefined,
      };
      const program = await part.program(`${shape.skip}`, () => traceClipText(config, shape));
      program.write('ids', ids);
      if (shape.pooled) program.write('rows', endRows(ids, ids.length, config));
      await program.run(signal);
      states.push(await program.read('hidden'));
      if (shape.pooled) pooled = await program.read('pooled');
    }
    const tokens = this.#encoders[0].config.maxTokens;
    return { tokens, context: sideBySide(states, tokens), pooled };
  }

  dispose(): void {
    for (const { part } of this.#encoders) part.dispose();
  }
}

/** All layers, so that every parameter is named: what of it is run depends on the prompt. */
function traceWhole(config: ClipTextConfig, name: PartName) {
  const pooled = name === 'text_encoder_2' ? ('projected' as const) : undefined;
  return traceClipText(config, { batch: 1, tokens: 1, skip: 0, finalNorm: true, pooled });
}

/** Joins states `[tokens, dim]` on their last axis. */
function sideBySide(states: readonly Float32Array[], tokens: number): Float32Array {
  if (states.length === 1) return states[0];
  const dims = states.map((state) => state.length / tokens);
  const dim = dims.reduce((sum, n) => sum + n, 0);
  const out = new Float32Array(tokens * dim);
  let at = 0;
  states.forEach((state, i) => {
    for (let t = 0; t < tokens; t++)
      out.set(state.subarray(t * dims[i], (t + 1) * dims[i]), t * dim + at);
    at += dims[i];
  });
  return out;
}
