/**
 * How far a call has come, in real units: `done` of `total`, both in what `unit` says. Within one
 * phase of a call `done` never falls.
 */
export type Progress =
  | DownloadProgress
  /** Hashes of stored bytes are checked. */
  | {
      readonly phase: 'verify';
      readonly unit: 'bytes';
      readonly done: number;
      readonly total: number;
    }
  /** Weights are converted and handed to the engine. */
  | {
      readonly phase: 'load';
      readonly unit: 'bytes';
      readonly done: number;
      readonly total: number;
    }
  /** Models are planned and their programs built. */
  | {
      readonly phase: 'compile';
      readonly unit: 'programs';
      readonly done: number;
      readonly total: number;
    }
  /** Prompts go through the text encoder, an input picture through the VAE. */
  | {
      readonly phase: 'encode';
      readonly unit: 'prompts';
      readonly done: number;
      readonly total: number;
    }
  | DenoiseProgress
  /** Latents become pixels. */
  | {
      readonly phase: 'decode';
      readonly unit: 'pictures';
      readonly done: number;
      readonly total: number;
    };

/** Weights come in, from the network or from this device. */
export interface DownloadProgress {
  readonly phase: 'download';
  readonly unit: 'bytes';
  readonly done: number;
  /** Undefined where the server does not say. */
  readonly total: number | undefined;
  /** The file that is being read. */
  readonly file: string;
  /** True where the bytes come from this device and not from the network. */
  readonly fromCache: boolean;
}

/** The steps of a run. */
export interface DenoiseProgress {
  readonly phase: 'denoise';
  readonly unit: 'steps';
  readonly done: number;
  readonly total: number;
  /** The rest of the steps at the pace of those done, in seconds; undefined before the first. */
  readonly secondsLeft?: number;
}

/** No more than one report in this many milliseconds, but for the first and last of a phase. */
const INTERVAL = 100;

/**
 * Passes reports on: drops those that come too fast or step back, never the one that ends a phase,
 * and says how long the denoising will still take.
 */
export class ProgressReporter {
  readonly #pass: (progress: Progress) => void;
  readonly #now: () => number;
  #phase: Progress['phase'] | undefined;
  #done = 0;
  #last = -Infinity;
  /** When the first step of this denoising ended: the step before it also warms the engine up. */
  #first: { at: number; done: number } | undefined;
  #begin = 0;

  /** @param now milliseconds of a clock that never steps back */
  constructor(pass: (progress: Progress) => void, now: () => number = () => performance.now()) {
    this.#pass = pass;
    this.#now = now;
  }

  readonly report = (progress: Progress): void => {
    const now = this.#now();
    const begins = progress.phase !== this.#phase;
    if (begins) {
      this.#phase = progress.phase;
      this.#first = undefined;
      this.#begin = now;
    } else if (progress.done < this.#done) {
      return;
    }
    this.#done = progress.done;
    const timed = progress.phase === 'denoise' ? this.#withTimeLeft(progress, now) : progress;
    const ends = progress.total !== undefined && progress.done >= progress.total;
    if (!begins && !ends && now - this.#last < INTERVAL) return;
    this.#last = now;
    this.#pass(timed);
  };

  #withTimeLeft(progress: DenoiseProgress, now: number): DenoiseProgress {
    const { done, total } = progress;
    if (done === 0) return progress;
    const first = (this.#first ??= { at: now, done });
    const perStep =
      done > first.done
        ? (now - first.at) / (done - first.done)
        : (first.at - this.#begin) / first.done;
    return { ...progress, secondsLeft: (perStep * (total - done)) / 1000 };
  }
}
