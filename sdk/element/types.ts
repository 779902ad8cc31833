import type {
  GenerateResult,
  ModelSource,
  Progress,
  SDError,
  StableDiffusion,
  Step,
} from '../index.ts';

/** What the element tells of; each is a `CustomEvent` with this in `detail`. */
export interface StableDiffusionEvents {
  /** The model is there. */
  load: StableDiffusion;
  progress: Progress;
  step: Step;
  /** Pictures are done. */
  image: GenerateResult;
  error: SDError;
  /** Cancel, Escape, `abort()` or a form's reset: the code is ABORTED. */
  abort: SDError;
}

/** Where an element's model comes from, or who will say so. */
export type ElementModel =
  ModelSource | ((signal: AbortSignal) => ModelSource | Promise<ModelSource>);
