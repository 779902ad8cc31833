const NAME = 'stable-diffusion-web';

/** One way to start the worker. */
export interface Rung {
  readonly name: string;
  make(): Worker | Promise<Worker>;
  /** Gives the same worker each time, instead of another. */
  readonly isSingle?: true;
}

/** Starts a worker at a URL that is known only now; pages with Trusted Types want our policy's word. */
export function start(url: string): Worker {
  return new Worker(trusted(url), { type: 'module', name: NAME });
}

interface TrustedTypes {
  createPolicy(
    name: string,
    rules: { createScriptURL(url: string): string },
  ): { createScriptURL(url: string): string };
}
let policy: ReturnType<TrustedTypes['createPolicy']> | undefined;

/** The URL as `new Worker` takes it on a page with Trusted Types. */
export function trusted(url: string): string {
  const { trustedTypes } = globalThis as { trustedTypes?: TrustedTypes };
  if (!trustedTypes) return url;
  policy ??= trustedTypes.createPolicy(NAME, { createScriptURL: (safe) => safe });
  return policy.createScriptURL(url);
}
