import { isSDError, SDError } from '../errors.ts';
import { VERSION } from '../version.ts';
import { ladder } from './ladder.ts';
import type { HelloMessage, ReadyMessage } from './protocol.ts';
import { start, type Rung } from './start.ts';

/**
 * A worker of the app's own making that runs `stable-diffusion-web/worker`: its URL, a function that
 * makes one (called again for each thread of the CPU engine, and should it die), or one that is already
 * made, which then belongs to us and computes alone.
 */
export type WorkerSource = string | URL | (() => Worker | Promise<Worker>) | Worker;

/** How long a worker may take to say that it is ready, in ms: a fetch of some 100 KB. */
const PATIENCE = 20_000;

/** A worker that said it is ready, and how to get another of its kind; an app's ready-made one is alone. */
export interface SpawnedWorker {
  readonly worker: Worker;
  readonly another: (() => Promise<Worker>) | undefined;
}

/**
 * Starts a worker by the first way that the page's origin and Content-Security-Policy allow, and
 * waits until it answers with our own version.
 * @throws SDError WORKER_FAILED, which names every way that was tried and what to change
 */
export async function spawnWorker(source?: WorkerSource): Promise<SpawnedWorker> {
  const failures: string[] = [];
  const violations: string[] = [];
  // A blocked worker only fires an error without a message; the reason is told to the document.
  const onViolation = (event: SecurityPolicyViolationEvent) =>
    violations.push(`${event.effectiveDirective} blocked ${event.blockedURI || 'it'}`);
  const target = typeof document === 'undefined' ? undefined : document;
  target?.addEventListener('securitypolicyviolation', onViolation);
  try {
    for (const { name, make, isSingle } of source === undefined ? ladder() : [given(source)]) {
      const another = () => ready(make);
      try {
        return { worker: await another(), another: isSingle ? undefined : another };
      } catch (error) {
        if (isSDError(error)) throw error;
        failures.push(`${name}: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
  } finally {
    target?.removeEventListener('securitypolicyviolation', onViolation);
  }
  throw new SDError('WORKER_FAILED', explain(failures, violations));
}

function given(source: WorkerSource): Rung {
  if (typeof source === 'function') return { name: 'the given function', make: source };
  if (typeof source === 'string' || source instanceof URL)
    return { name: String(source), make: () => start(String(source)) };
  return { name: 'the given worker', make: () => source, isSingle: true };
}

async function ready(make: Rung['make']): Promise<Worker> {
  const worker = await make();
  try {
    await handshake(worker);
    return worker;
  } catch (error) {
    worker.terminate();
    throw error;
  }
}

/** Resolves when the worker says it is ready; an Error means that the next way may be tried. */
function handshake(worker: Worker): Promise<void> {
  return new Promise((done, fail) => {
    const listening = new AbortController();
    const { signal } = listening;
    const end = (error?: Error) => {
      clearTimeout(timer);
      listening.abort();
      if (error) fail(error);
      else done();
    };
    const timer = setTimeout(() => end(new Error(`no answer in ${PATIENCE / 1000} s`)), PATIENCE);
    worker.addEventListener(
      'message',
      ({ data }: MessageEvent<ReadyMessage>) => {
        if (data?.sd !== 'ready') return;
        if (data.version === VERSION) end();
        else
          end(
            new SDError(
              'WORKER_FAILED',
              `The page runs version ${VERSION} and its worker version ${data.version}: clear the cache that serves one of them, or pin both files to one version.`,
            ),
          );
      },
      { signal },
    );
    worker.addEventListener(
      'error',
      (event) => {
        event.preventDefault();
        end(new Error(event.message || 'blocked or not found'));
      },
      { signal },
    );
    worker.postMessage({ sd: 'hello' } satisfies HelloMessage);
  });
}

function explain(failures: string[], violations: string[]): string {
  const { origin } = new URL(import.meta.url);
  const host = origin === globalThis.origin || origin === 'null' ? `'self'` : origin;
  const blobs = globalThis.origin === 'null' ? 'blob: data:' : 'blob:';
  const reasons = `The worker could not start (${failures.join('; ')}).`;
  // Browsers name the type or the policy that they missed.
  const types = /Trusted|createPolicy/.test(reasons) ? '; trusted-types stable-diffusion-web' : '';
  const need = `script-src ${host} 'wasm-unsafe-eval'; worker-src ${host} ${blobs}${types}`;
  if (violations.length > 0)
    return `${reasons} The page's Content-Security-Policy forbids it (${[...new Set(violations)].join(', ')}); it must allow: ${need}.`;
  return `${reasons} Look whether worker.js is served next to the SDK's script, as JavaScript; where the page sends Cross-Origin-Embedder-Policy, worker.js must send it too; a Content-Security-Policy must allow: ${need}.`;
}
