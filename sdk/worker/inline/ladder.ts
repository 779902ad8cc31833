import script from 'virtual:worker';
import { start, type Rung } from '../start.ts';

/** Of the blob. */
let url: string | undefined;

/** The ways to start the worker that came with the script. */
export function ladder(): Rung[] {
  const rungs: Rung[] = [
    {
      name: 'blob',
      // Not revoked: the engine's threads start from the same URL.
      make: () =>
        start((url ??= URL.createObjectURL(new Blob([script], { type: 'text/javascript' })))),
    },
  ];
  // Where the page's origin is opaque (a sandboxed frame) blobs start no module workers.
  if (globalThis.origin === 'null')
    rungs.push({
      name: 'data URL',
      make: () => start(`data:text/javascript,${encodeURIComponent(script)}`),
    });
  return rungs;
}
