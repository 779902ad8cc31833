import type { Pull } from '../backends/backend.ts';
import type { Pass } from './pass.ts';
import { promptSchedule, scheduledIndex, splitComposed } from './prompts/schedule.ts';
import type { Hooks, Job } from './request.ts';
import type { Conditioning, TextEncoders } from './text.ts';
import type { Row, UNetContext } from './unet.ts';

/** What the UNet is asked at one step, and how its answers become one prediction. */
export interface Asked {
  readonly context: UNetContext;
  /** The picture that each row of the batch belongs to. */
  readonly pictures: readonly number[];
  /** The batch is a negative for each picture, then a row for each pull; else pulls only. */
  readonly isGuided: boolean;
  readonly pulls: readonly Pull[];
  readonly scale: number;
}

/** What of a model decides how prompts act on it. */
export interface Conditioned {
  /** It takes the guidance scale as an input: distilled models need no second pass for it. */
  readonly takesScale: boolean;
  /** SDXL: a missing negative prompt is zeros rather than the encoding of "". */
  readonly zerosForNothing: boolean;
  readonly isRefiner: boolean;
}

/** A prompt over time: each entry serves the calls up to `until`. */
type Strand = readonly { readonly until: number; readonly conditioning: Conditioning }[];
/** Prompts that act together. */
type Composed = readonly { readonly weight: number; readonly strand: Strand }[];

/** Prompts encoded, ready to be asked for at any step of a pass. */
export class Conditions {
  readonly #job: Job;
  readonly #model: Conditioned;
  /** One each per picture. */
  readonly #positive: readonly Composed[];
  readonly #negative: readonly Strand[];
  readonly #known = new Map<string, Asked>();

  private constructor(
    job: Job,
    model: Conditioned,
    positive: readonly Composed[],
    negative: readonly Strand[],
  ) {
    this.#job = job;
    this.#model = model;
    this.#positive = positive;
    this.#negative = negative;
  }

  /**
   * Encodes the prompts of a pass, each text once.
   * @param before evaluations of the pass before this one: `[from:to:when]` counts on from them
   */
  static async encode(
    { job, calls }: Pass,
    text: TextEncoders,
    model: Conditioned,
    hooks: Hooks,
    before?: number,
  ): Promise<Conditions> {
    const { syntax = 'plain', clipSkip } = job;
    const known = new Map<string, Promise<Conditioning>>();
    const encode = (prompt: string, skip: number): Promise<Conditioning> => {
      const key = `${skip} ${prompt}`;
      const encoded = known.get(key) ?? text.encode(prompt, { skip, syntax, ...hooks });
      known.set(key, encoded);
      return encoded;
    };
    const strandOf = async (prompt: string, skip: number): Promise<Strand> => {
      const schedule =
        syntax === 'plain'
          ? [{ until: calls, text: prompt }]
          : promptSchedule(prompt, calls, before);
      const strand = [];
      for (const { until, text: words } of schedule)
        strand.push({ until, conditioning: await encode(words, skip) });
      return strand;
    };

    const positive: Composed[] = [];
    const negative: Strand[] = [];
    // diffusers skips layers for the positive prompt alone; A1111 for both.
    const negativeSkip = syntax === 'a1111' ? clipSkip : 0;
    for (const prompt of job.prompts) {
      const parts = syntax === 'plain' ? [{ text: prompt, weight: 1 }] : splitComposed(prompt);
      const composed = [];
      for (const part of parts)
        composed.push({ weight: part.weight, strand: await strandOf(part.text, clipSkip) });
      positive.push(composed);
    }
    const isAsked = job.guidanceScale > 1 && !model.takesScale;
    if (isAsked || positive.some(isComposed))
      for (let i = 0; i < job.prompts.length; i++) {
        const prompt = job.negativePrompts?.[i];
        if (prompt === undefined && model.zerosForNothing)
          negative.push([{ until: calls, conditioning: text.zeros() }]);
        else negative.push(await strandOf(prompt ?? '', negativeSkip));
      }
    await equalise([...positive.flat().map(({ strand }) => strand), ...negative], () =>
      encode('', negativeSkip),
    );
    const spread = <T>(list: readonly T[]): T[] =>
      list.flatMap((one) => new Array<T>(job.count).fill(one));
    return new Conditions(job, model, spread(positive), spread(negative));
  }

  /** What to ask at evaluation `call` of `calls`, counted from 0. */
  at(call: number, calls: number): Asked {
    const { guidanceScale, guidanceStart = 0, guidanceEnd = 1 } = this.#job;
    // As diffusers has it for `control_guidance_start` and `_end`.
    const isInside = call / calls >= guidanceStart && (call + 1) / calls <= guidanceEnd;
    const scale = isInside && !this.#model.takesScale ? guidanceScale : 1;
    const isGuided = scale > 1 || this.#positive.some(isComposed);
    const now = (strand: Strand): number => scheduledIndex(strand, call);
    const chosen = [
      ...this.#positive.map((parts) => parts.map(({ strand }) => now(strand)).join('+')),
      ...(isGuided ? this.#negative.map(now) : []),
    ];
    const key = `${scale} ${chosen.join()}`;
    let asked = this.#known.get(key);
    if (!asked) {
      asked = this.#ask(now, isGuided, Math.max(1, scale));
      this.#known.set(key, asked);
    }
    return asked;
  }

  #ask(now: (strand: Strand) => number, isGuided: boolean, scale: number): Asked {
    const { width, height, wrap, guidanceScale } = this.#job;
    const row = (strand: Strand, isNegative: boolean): Row => ({
      conditioning: strand[now(strand)].conditioning,
      timeIds: this.#model.isRefiner
        ? [height, width, 0, 0, isNegative ? 2.5 : 6]
        : [height, width, 0, 0, height, width],
    });
    const pulls = this.#positive.flatMap((parts, picture) =>
      parts.map(({ weight }) => ({ picture, weight })),
    );
    const rows = this.#positive.flatMap((parts) => parts.map(({ strand }) => row(strand, false)));
    const pictures = pulls.map(({ picture }) => picture);
    if (isGuided) {
      rows.unshift(...this.#negative.map((strand) => row(strand, true)));
      pictures.unshift(...this.#negative.keys());
    }
    const watch = this.#job.inspect?.includes('attention') ?? false;
    return { context: { rows, guidanceScale, wrap, watch }, pictures, isGuided, pulls, scale };
  }
}

/** Several prompts, or one that does not simply count once, need the negative to lean on. */
function isComposed(parts: Composed): boolean {
  return parts.length > 1 || parts[0].weight !== 1;
}

/** Gives all conditionings the same number of tokens, by encodings of nothing at the end. */
async function equalise(
  strands: readonly Strand[],
  nothing: () => Promise<Conditioning>,
): Promise<void> {
  const all = strands.flatMap((strand) => strand);
  const tokens = Math.max(...all.map(({ conditioning }) => conditioning.tokens));
  for (const entry of all as { conditioning: Conditioning }[]) {
    const { conditioning } = entry;
    if (conditioning.tokens === tokens) continue;
    const empty = await nothing();
    const context = new Float32Array((conditioning.context.length / conditioning.tokens) * tokens);
    context.set(conditioning.context);
    for (let at = conditioning.context.length; at < context.length; at += empty.context.length)
      context.set(empty.context, at);
    entry.conditioning = { ...conditioning, tokens, context };
  }
}
