import type { Backend } from '../backends/backend.ts';
import { invalid } from '../checks.ts';
import {
  endRows,
  parseClipTextConfig,
  traceClipText,
  type ClipTextConfig,
} from '../models/index.ts';
import type { TokenCount } from '../inspect.ts';
import type { PromptSyntax } from '../options.ts';
import type { Tokenizer } from '../tokenizer/tokenizer.ts';
import type { ModelSource, PartName } from './model-source.ts';
import { Part, type PartOptions } from './part.ts';
import { parseAttention } from './prompts/attention.ts';
import { chunkPrompt, padAfterEnd } from './prompts/chunks.ts';
import { applyEmphasis } from './prompts/emphasis.ts';
import { extractNetworks } from './prompts/networks.ts';
import { promptSchedule, splitComposed } from './prompts/schedule.ts';
import { stack } from './layout.ts';

/** What a prompt becomes: `context` `[tokens, dim]` and, for SDXL, `pooled` `[dim]`. */
export interface Conditioning {
  readonly tokens: number;
  readonly context: Float32Array;
  readonly pooled?: Float32Array;
  /** The tokens as the (first) tokenizer spells them; what was padded later has none. */
  readonly pieces: readonly string[];
}

/** One tokenizer with its CLIP. */
interface Encoder {
  readonly name: PartName;
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
    options: PartOptions,
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
        encoders.push({ name, tokenizer, config, part });
      }
    } catch (error) {
      for (const { part } of encoders) part.dispose();
      throw error;
    }
    return new TextEncoders(encoders, isXl);
  }

  get parts(): ReadonlyMap<PartName, Part> {
    return new Map(this.#encoders.map(({ name, part }) => [name, part]));
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
    const pooled = this.isXl ? new Float32Array(this.pooledDim) : undefined;
    return { tokens, context, pooled, pieces: [] };
  }

  /**
   * Encodes one prompt.
   * @param options.skip layers left out at the end, as diffusers counts `clip_skip`
   * @param options.syntax with `a1111`, brackets weigh words and a long prompt becomes several times
   *   77 tokens; `plain` cuts it
   */
  async encode(
    prompt: string,
    options: {
      skip: number;
      syntax: PromptSyntax;
      signal?: AbortSignal;
      onNotice?: (message: string) => void;
    },
  ): Promise<Conditioning> {
    const { skip, syntax, signal } = options;
    const states: Float32Array[] = [];
    let pooled: Float32Array | undefined;
    let pieces: string[] | undefined;
    let tokens = 0;
    for (const encoder of this.#encoders) {
      const onNotice = states.length === 0 ? options.onNotice : undefined;
      const chunks =
        syntax === 'plain'
          ? [plainChunk(prompt, encoder, onNotice)]
          : weightedChunks(prompt, encoder, onNotice);
      const isLast = states.length === this.#encoders.length - 1;
      const parts: Float32Array[] = [];
      for (const { ids, weights } of chunks) {
        const encoded = await this.#run(encoder, ids, skip, isLast, signal);
        if (weights) applyEmphasis(encoded.hidden, weights);
        parts.push(encoded.hidden);
        // SDXL's pooled state is that of the first chunk.
        pooled ??= encoded.pooled;
      }
      states.push(stack(parts));
      tokens = chunks.reduce((sum, { ids }) => sum + ids.length, 0);
      pieces ??= chunks.flatMap(({ ids }) =>
        Array.from(ids, (id) => encoder.tokenizer.tokenOf(id)),
      );
    }
    return { tokens, context: sideBySide(states, tokens), pooled, pieces: pieces ?? [] };
  }

  async #run(
    { config, part }: Encoder,
    ids: Int32Array,
    skip: number,
    isLast: boolean,
    signal: AbortSignal | undefined,
  ): Promise<{ hidden: Float32Array; pooled?: Float32Array }> {
    const shape = {
      batch: 1,
      tokens: ids.length,
      skip: this.isXl ? skip + 1 : skip,
      finalNorm: !this.isXl,
      pooled: this.isXl && isLast ? ('projected' as const) : undefined,
    };
    if (shape.skip > config.layers)
      throw invalid(
        `clipSkip ${skip} leaves nothing of a text encoder of ${config.layers} layers.`,
      );
    const program = await part.program(`${shape.skip}`, () => traceClipText(config, shape), signal);
    program.write('ids', ids);
    if (shape.pooled) program.write('rows', endRows(ids, ids.length, config));
    await program.run(signal);
    const hidden = await program.read('hidden');
    return { hidden, pooled: shape.pooled && (await program.read('pooled')) };
  }

  /**
   * How many tokens a prompt takes, and how many there is room for before it is cut (`plain`) or a
   * further chunk begins (`a1111`). For counters in user interfaces.
   */
  count(prompt: string, syntax: PromptSyntax): TokenCount {
    const { tokenizer } = this.#encoders[0];
    const room = tokenizer.modelMaxLength - 2;
    if (syntax === 'plain') {
      const { dropped } = tokenizer.encodeForModel(prompt);
      return { tokens: tokenizer.count(prompt), room, chunks: 1, dropped };
    }
    let tokens = 0;
    for (const { text } of splitComposed(extractNetworks(prompt).text))
      for (const { text: words } of promptSchedule(text, SCHEDULE_STEPS)) {
        const { tokenCount } = chunkPrompt(parseAttention(words), tokenizer, commaOf(tokenizer));
        tokens = Math.max(tokens, tokenCount);
      }
    const chunks = Math.max(1, Math.ceil(tokens / room));
    return { tokens, room: chunks * room, chunks, dropped: '' };
  }

  dispose(): void {
    for (const { part } of this.#encoders) part.dispose();
  }
}

/** Token ids of one pass of the text encoder, with what each weighs. */
interface WeighedIds {
  readonly ids: Int32Array;
  readonly weights?: readonly number[];
}

function plainChunk(
  prompt: string,
  { tokenizer }: Encoder,
  onNotice: ((message: string) => void) | undefined,
): WeighedIds {
  const { ids, dropped } = tokenizer.encodeForModel(prompt);
  if (dropped) {
    const shown = dropped.length > 200 ? `${dropped.slice(0, 200)}…` : dropped;
    onNotice?.(
      `The prompt is longer than ${tokenizer.modelMaxLength - 2} tokens. Left out: “${shown}”.`,
    );
  }
  return { ids };
}

function weightedChunks(
  prompt: string,
  { tokenizer }: Encoder,
  onNotice: ((message: string) => void) | undefined,
): WeighedIds[] {
  const { text, references } = extractNetworks(prompt);
  for (const reference of references)
    onNotice?.(`${reference} in the prompt has no effect: this model was loaded without it.`);
  const { chunks } = chunkPrompt(parseAttention(text), tokenizer, commaOf(tokenizer));
  return chunks.map(({ tokens, weights }) => ({
    ids: Int32Array.from(padAfterEnd(tokens, tokenizer.eos, tokenizer.pad)),
    weights,
  }));
}

/** The token at which a chunk may end early. */
function commaOf(tokenizer: Tokenizer): { comma: number } {
  return { comma: tokenizer.encode(',')[0] };
}

/** A1111's counter takes the longest text of a schedule of so many steps. */
const SCHEDULE_STEPS = 20;

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
