import { useCallback, useEffect, useRef, useState } from 'react';
import {
  StableDiffusion,
  type GenerateOptions,
  type GenerateResult,
  type LoadOptions,
  type ModelSource,
  type Progress,
} from '../index.ts';

/** Where the hook's model is: not asked for, on its way, there, or not to be had. */
export type StableDiffusionState =
  | { readonly status: 'idle' | 'loading'; readonly sd?: undefined; readonly error?: undefined }
  | { readonly status: 'ready'; readonly sd: StableDiffusion; readonly error?: undefined }
  | { readonly status: 'failed'; readonly sd?: undefined; readonly error: unknown };

/** What {@link useStableDiffusion} gives at each render. */
export type UseStableDiffusion = StableDiffusionState & {
  /** How far the load or the run has come. */
  readonly progress: Progress | undefined;
  /** Draws; loads the model first, if it is not there yet. Rejects as the SDK does. */
  readonly generate: (options: GenerateOptions) => Promise<GenerateResult>;
  /** Loads the model, once. */
  readonly load: () => Promise<StableDiffusion>;
};

/**
 * A model for as long as the component lives. Nothing is downloaded before `load` or `generate` is
 * called, and
 * leaving stops it. Strict mode's second mount starts over with nothing; another `source` disposes of the model.
 * @param options read when the model is loaded; changing them changes nothing
 */
export function useStableDiffusion(
  source: ModelSource,
  options: Omit<LoadOptions, 'signal'> = {},
): UseStableDiffusion {
  const [state, setState] = useState<StableDiffusionState>({ status: 'idle' });
  const [progress, setProgress] = useState<Progress>();
  const latest = useRef(options);
  const loading = useRef<Promise<StableDiffusion>>(undefined);
  const stop = useRef(new AbortController());
  useEffect(() => void (latest.current = options));

  useEffect(
    () => () => {
      stop.current.abort();
      stop.current = new AbortController();
      void loading.current?.then((sd) => sd.dispose()).catch(() => {});
      loading.current = undefined;
      setState({ status: 'idle' });
      setProgress(undefined);
    },
    [source],
  );

  const load = useCallback(() => {
    if (loading.current) return loading.current;
    const mine = StableDiffusion.load(source, {
      ...latest.current,
      signal: stop.current.signal,
      onProgress(report) {
        latest.current.onProgress?.(report);
        if (loading.current === mine) setProgress(report);
      },
    });
    loading.current = mine;
    setState({ status: 'loading' });
    mine.then(
      (sd) => loading.current === mine && setState({ status: 'ready', sd }),
      (error: unknown) => {
        if (loading.current !== mine) return;
        loading.current = undefined; // the next call tries again
        setState({ status: 'failed', error });
      },
    );
    return mine;
  }, [source]);

  const generate = useCallback(
    async (wanted: GenerateOptions) =>
      (await load()).generate({
        ...wanted,
        onProgress(report) {
          wanted.onProgress?.(report);
          setProgress(report);
        },
      }),
    [load],
  );
  return { ...state, progress, load, generate };
}
