import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';

/** Outputs of the reference implementation, kept in the repository so that a clone alone can test. */
export function goldenFile<T>(name: string): T {
  const path = new URL(`../fixtures/golden/${name}.json.gz`, import.meta.url);
  return JSON.parse(gunzipSync(readFileSync(path)).toString('utf8')) as T;
}
