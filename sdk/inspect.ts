import { invalid, show } from './checks.ts';

/**
 * What a step can tell beyond its preview: `'guidance'`, what the UNet answered with and without the
 * prompt; `'attention'`, which part of the picture looks at which word.
 */
export type Inspection = 'guidance' | 'attention';

/** What was asked for by `inspect`, of the first of the call's pictures. */
export interface StepInsight<Preview> {
  readonly guidance?: GuidanceInsight<Preview>;
  readonly attention?: AttentionInsight;
}

/** The two answers that classifier-free guidance takes the difference of. */
export interface GuidanceInsight<Preview> {
  /** To the prompt; of prompts joined by `AND`, to the first. */
  readonly conditioned: Answer<Preview>;
  /** To the negative prompt; undefined where the step is not guided. */
  readonly unconditioned?: Answer<Preview>;
  /** Of both outputs: channels, height and width of the latents. */
  readonly shape: readonly [channels: number, height: number, width: number];
}

/** One answer of the UNet. */
export interface Answer<Preview> {
  /** The noise it sees, or what else the model predicts. */
  readonly output: Float32Array;
  /** The clean picture that this answer alone would lead to, shown as `preview` says. */
  readonly preview?: Preview;
}

/**
 * Cross-attention of the prompt's row, averaged over all heads and layers; layers smaller than the
 * latents are brought to their size bilinearly (as DAAM does, Tang 2022).
 */
export interface AttentionInsight {
  /** The prompt's tokens as the tokenizer spells them: `</w>` ends a word. Markers and padding too. */
  readonly tokens: readonly string[];
  readonly height: number;
  readonly width: number;
  /** `[tokens, height, width]`: the share of its attention that a place gives a token; sums to 1. */
  readonly maps: Float32Array;
}

/** How long a prompt is, for counters in user interfaces. BOS and EOS are not counted. */
export interface TokenCount {
  /** With `syntax: 'a1111'` as A1111 counts: a chunk that was ended early counts whole. */
  readonly tokens: number;
  /** How many there is room for: 75, or with `a1111` 75 for each chunk. */
  readonly room: number;
  /** How often the text encoder runs: 1, or with `a1111` as often as the prompt needs. */
  readonly chunks: number;
  /** What the model will not see: the end of a prompt beyond 75 tokens, where they are not chunked. */
  readonly dropped: string;
}

/** Where a run would evaluate the model. */
export interface ScheduleInfo {
  /** In order, from noise to picture. */
  readonly timesteps: readonly number[];
  /** At each of these the noise in a sample for every 1 of picture: √((1 − ᾱ) / ᾱ). */
  readonly sigmas: readonly number[];
  /** ᾱ (`alphas_cumprod`) at every timestep of the model's training: how much picture is left. */
  readonly alphasCumprod: Float32Array;
}

const ALL: readonly unknown[] = ['guidance', 'attention'] satisfies Inspection[];

/** @throws SDError INVALID_OPTION */
export function inspections(value: unknown): Inspection[] {
  if (value === undefined) return [];
  if (!Array.isArray(value) || !value.every((one) => ALL.includes(one)))
    throw invalid(`inspect must be a list of ${ALL.join(', ')}, not ${show(value)}.`);
  return value as Inspection[];
}
