import { start, type Rung } from './start.ts';

/** Of the blob. */
let url: string | undefined;

/** The ways to start dist/worker.js, the plainest first. */
export function ladder(): Rung[] {
  const script = new URL('./worker.js', import.meta.url).href;
  const rungs: Rung[] = [
    {
      name: 'same origin',
      // Verbatim for bundlers: they find no worker behind a variable.
      make: () =>
        new Worker(new URL('./worker.js', import.meta.url), {
          type: 'module',
          name: 'stable-diffusion-web',
        }),
    },
  ];
  if ('trustedTypes' in globalThis)
    rungs.push({ name: 'same origin, Trusted Types', make: () => start(script) });
  // A worker from another origin is refused, but a blob of ours may import one. `import()` and not a
  // static import: the first is checked against script-src, the second against worker-src.
  // Messages that come before the module has run are kept for it.
  const bootstrap = `
    const early = [];
    const keep = ({ data }) => early.push(data);
    addEventListener('message', keep);
    import(${JSON.stringify(script)}).then(
      () => {
        removeEventListener('message', keep);
        for (const data of early) dispatchEvent(new MessageEvent('message', { data }));
      },
      (error) => setTimeout(() => { throw error; }),
    );`;
  rungs.push({
    name: 'blob',
    // Not revoked: the engine's threads start from the same URL.
    make: () =>
      start((url ??= URL.createObjectURL(new Blob([bootstrap], { type: 'text/javascript' })))),
  });
  // Where the page's origin is opaque (a sandboxed frame) blobs start no module workers.
  if (globalThis.origin === 'null')
    rungs.push({
      name: 'data URL',
      make: () => start(`data:text/javascript,${encodeURIComponent(bootstrap)}`),
    });
  return rungs;
}
