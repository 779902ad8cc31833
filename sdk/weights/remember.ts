import { isSDError } from '../errors.ts';
import type { Remember } from './checkpoint.ts';
import { readText, type ModelFiles } from './files.ts';
import { MemorySource } from './source.ts';

/** The same files, with the small ones (`.json`, `.txt`) kept between sessions. */
export function rememberFiles(files: ModelFiles, remember: Remember): ModelFiles {
  const isText = (path: string): boolean => /\.(json|txt)$/.test(path);
  const absent = Symbol('absent');
  /** The text of a file, kept; its absence too where the server is clear about that. */
  const text = (path: string, signal?: AbortSignal): Promise<string | undefined> =>
    remember(path, async () => {
      try {
        return await readText(files, path, signal);
      } catch (error) {
        if (!isSDError(error) || error.code !== 'MISSING_FILE') throw error;
        if (error.retryable) throw absent;
        return undefined;
      }
    });
  return {
    name: files.name,
    async open(path) {
      if (!isText(path)) return files.open(path);
      // A file that must be there is asked for every time until it is.
      const known = await remember(path, () => readText(files, path));
      return known === undefined
        ? files.open(path)
        : new MemorySource(new TextEncoder().encode(known), path);
    },
    async has(path, signal) {
      if (!isText(path)) return files.has(path, signal);
      try {
        return (await text(path, signal)) !== undefined;
      } catch (error) {
        if (error === absent) return false;
        throw error;
      }
    },
  };
}
