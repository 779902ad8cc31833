import type { GeneratorKind } from '../random/index.ts';
import type { Inspection } from '../inspect.ts';
import type { PromptSyntax, SecondPass } from '../options.ts';
import type { SchedulerConfig } from '../samplers/sampler.ts';
import type { LatentInsight } from './insight.ts';

/** A picture to start from, as tensors. */
export interface InitialImage {
  /** NCHW `[1 or pictures, 3, height, width]`, −1..1. Either this or `latents` is given. */
  readonly data?: Float32Array;
  /** Its latents, `[pictures, latent, h, w]`, as the UNet sees them. */
  readonly latents?: Float32Array;
  /** How far to go from it, 0..1. Image-to-image and inpainting. */
  readonly strength: number;
  /** `[height · width]`, 1 where the picture is painted anew, 0 where it is kept. Inpainting. */
  readonly mask?: Float32Array;
}

/** One run of the pipeline, all options checked but for what only the model can refuse. */
export interface Job {
  readonly prompts: readonly string[];
  /** One per prompt; undefined is the model's own idea of nothing (SDXL: zeros). */
  readonly negativePrompts?: readonly string[];
  /** Default `plain`: diffusers. */
  readonly syntax?: PromptSyntax;
  /** Pictures per prompt. */
  readonly count: number;
  readonly width: number;
  readonly height: number;
  readonly steps: number;
  /** Custom times or noise levels instead of `steps`, where the sampler takes them. */
  readonly timesteps?: readonly number[];
  readonly sigmas?: readonly number[];
  /** Sampler name; undefined is the checkpoint's own. */
  readonly sampler?: string;
  /** Settings over those of the checkpoint, by diffusers' names. */
  readonly schedulerOptions?: SchedulerConfig;
  readonly guidanceScale: number;
  readonly guidanceRescale: number;
  /** Fractions of the evaluations between which guidance acts. Default 0 and 1. */
  readonly guidanceStart?: number;
  readonly guidanceEnd?: number;
  readonly eta: number;
  /** Layers of the text encoder left out for the positive prompt, as diffusers counts. */
  readonly clipSkip: number;
  /** One generator for the batch, or a list with one generator per picture. */
  readonly seed: number | readonly number[];
  readonly variation?: Variation;
  readonly rng: GeneratorKind;
  /** Start from these instead of noise: `[pictures, latent, h, w]`, before the sampler's scale. */
  readonly latents?: Float32Array;
  readonly image?: InitialImage;
  /** Axes that wrap around. */
  readonly wrap?: { readonly x: boolean; readonly y: boolean };
  /** Default `auto`. */
  readonly vaeTiling?: boolean | 'auto';
  readonly secondPass?: Required<SecondPass>;
  /** What steps tell beyond their result. Default nothing. */
  readonly inspect?: readonly Inspection[];
}

/** Noise of other seeds, blended into that of the pictures' own. */
export interface Variation {
  /** One per picture. */
  readonly seeds: readonly number[];
  /** 0 is the seed's own noise, 1 that of the variation. */
  readonly strength: number;
}

/** The state after one evaluation of the UNet. */
export interface StepEvent {
  /** 1-based. */
  readonly step: number;
  readonly steps: number;
  readonly timestep: number;
  readonly shape: LatentShape;
  /** What the job's `inspect` asked for. */
  readonly insight?: LatentInsight;
  /**
   * NCHW of `shape`: the noisy sample after the step, or the clean one that it predicts. Read back
   * from the engine when it is asked for, so ask before the next step.
   */
  latents(state: 'noisy' | 'denoised'): Promise<Float32Array>;
}

export type LatentShape = readonly [pictures: number, channels: number, h: number, w: number];

export interface Hooks {
  readonly signal?: AbortSignal;
  /** Awaited, so that a slow preview slows the run instead of piling up. */
  onStep?(event: StepEvent): void | Promise<void>;
  /** Called as each stage begins, with how many prompts, evaluations or pictures it has to do. */
  onStage?(stage: 'encode' | 'denoise' | 'decode', total: number): void;
  /** Something the caller should know: a prompt cut at 77 tokens, an option without effect. */
  onNotice?(message: string): void;
}
