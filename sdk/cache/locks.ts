/**
 * Waits for a lock that all tabs of the origin share; a tab that dies lets go of it. Where there
 * are no Web Locks (opaque origins, old browsers) it is had at once: two tabs may then do the same
 * work, and content-addressed records keep that harmless.
 *
 * @returns a function that lets go.
 */
export async function holdLock(name: string, signal?: AbortSignal): Promise<() => void> {
  const locks = globalThis.navigator?.locks;
  if (!locks) return () => {};
  return new Promise((resolve, reject) => {
    locks
      .request(name, { signal }, () => new Promise<void>((release) => resolve(release)))
      .catch((error: unknown) => {
        // An opaque origin has the object but not the right to use it.
        if ((error as Error).name === 'SecurityError') resolve(() => {});
        else reject(error);
      });
  });
}
