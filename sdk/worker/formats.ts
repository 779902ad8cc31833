import { SDError } from '../errors.ts';
import { VERSION } from '../version.ts';
import { FORMATS, type Formats, type LoadFormats } from '../weights/formats.ts';
import { throwIfAborted } from '../weights/source.ts';

/**
 * dist/formats.js by its URL: imported when it is first asked for, and again after a failure.
 * @throws SDError NETWORK, retryable, also where it is of another version than the worker; ABORTED
 */
export function formatsAt(url: string): LoadFormats {
  let loading: Promise<Formats> | undefined;
  let failures = 0;
  return async (signal) => {
    throwIfAborted(signal);
    loading ??= load(url, failures).catch((error: unknown) => {
      loading = undefined;
      failures++;
      throw error;
    });
    await Promise.race([
      loading,
      new Promise((done) => signal?.addEventListener('abort', done, { once: true })),
    ]);
    throwIfAborted(signal);
    return loading;
  };
}

async function load(url: string, failures: number): Promise<Formats> {
  // Firefox remembers, under the whole URL, that a module failed.
  const address = failures > 0 ? `${url}#${failures}` : url;
  try {
    // Bundlers are told to leave it: the page resolved the URL, and a worker that they make one plain
    // script of could not be split.
    await import(/* webpackIgnore: true */ /* @vite-ignore */ address);
  } catch (cause) {
    throw new SDError(
      'NETWORK',
      `${url} could not be imported. It belongs to the SDK and reads single files, .ckpt, LoRAs and textual inversions: serve it next to the SDK's script, as JavaScript and with CORS, and let a Content-Security-Policy allow its host in script-src.`,
      { cause, retryable: true },
    );
  }
  const formats = (globalThis as { [FORMATS]?: Formats })[FORMATS];
  if (formats?.VERSION !== VERSION)
    throw new SDError(
      'NETWORK',
      `The worker runs version ${VERSION} and ${url} is version ${formats?.VERSION}: clear the cache that serves one of them, or pin both files to one version.`,
      { retryable: true },
    );
  return formats;
}
