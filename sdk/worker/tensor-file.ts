import { CachedModel, sha256, type ModelCache } from '../cache/index.ts';
import { SDError } from '../errors.ts';
import type { TensorFile } from '../formats/tensor-file.ts';
import type { LoadFormats } from '../weights/formats.ts';
import { openTensors } from '../weights/open.ts';
import { identity, oneFile } from './open-checkpoint.ts';
import type { ModelLocation } from './protocol.ts';

/**
 * Requests with the LoRAs or embeddings that they name by where these are, not read yet.
 * @param kind of file, for messages and for its place in the cache.
 * @throws SDError INVALID_OPTION where a location is a folder
 */
export function withFiles<R extends { readonly file: ModelLocation }>(
  requests: readonly R[],
  kind: string,
  cache: ModelCache | undefined,
  formats: LoadFormats,
): Promise<(Omit<R, 'file'> & { readonly file: TensorFile })[]> {
  return Promise.all(
    requests.map(async (request) => {
      const source = oneFile(request.file);
      if (!source)
        throw new SDError(
          'INVALID_OPTION',
          `A ${kind} is one file (.safetensors, .ckpt, .pt, .pth or .bin), not a folder.`,
        );
      const { name } = source;
      const key = JSON.stringify([kind, await identity(request.file)]);
      const cached = cache?.available
        ? new CachedModel(cache, { key: await sha256(new TextEncoder().encode(key)), name })
        : undefined;
      const open = (signal?: AbortSignal) => openTensors(source, formats, signal);
      return { ...request, file: { name, key, cached, open } };
    }),
  );
}
