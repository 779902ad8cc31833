import { SDError } from './errors.ts';
import type { ModelLocation } from './worker/protocol.ts';

/** Where a model can come from. Relative URLs are relative to the page. */
export type ModelSource =
  | string
  | URL
  | File
  | FileSystemDirectoryHandle
  | Iterable<File>
  /** Paths inside the folder, such as `unet/config.json`, and their files. */
  | ReadonlyMap<string, Blob>;

/** @throws SDError INVALID_OPTION where it is none of these; MISSING_FILE for an empty choice */
export function locate(source: ModelSource): ModelLocation {
  if (typeof source === 'string' || source instanceof URL)
    return { kind: 'url', url: absolute(source) };
  if (typeof source === 'object' && source !== null) {
    if ('kind' in source && source.kind === 'directory')
      return { kind: 'directory', handle: source as FileSystemDirectoryHandle };
    if (source instanceof File)
      return { kind: 'files', files: [{ path: source.name, file: source }] };
    if (source instanceof Map) return { kind: 'files', files: listed([...source.entries()]) };
    if (Symbol.iterator in source) {
      const files = [...(source as Iterable<File>)];
      if (files.every((file) => file instanceof File))
        return {
          kind: 'files',
          files: listed(files.map((file) => [file.webkitRelativePath || file.name, file])),
        };
    }
  }
  throw new SDError(
    'INVALID_OPTION',
    'load() takes the URL of a model folder, the files of one, or the handle of a directory.',
  );
}

/** The path goes along: a File loses its `webkitRelativePath` on the way to the worker. */
function listed(entries: [string, Blob][]): { path: string; file: Blob }[] {
  if (entries.length === 0)
    throw new SDError('MISSING_FILE', 'The model folder is empty: there are no files in it.');
  return entries.map(([path, file]) => ({ path, file }));
}

function absolute(source: string | URL): string {
  const base = typeof document === 'undefined' ? globalThis.location?.href : document.baseURI;
  let url: URL;
  try {
    url = new URL(source, base);
  } catch (cause) {
    throw new SDError('INVALID_OPTION', `${JSON.stringify(source)} is no URL of a model folder.`, {
      cause,
    });
  }
  if (!['http:', 'https:', 'blob:', 'data:'].includes(url.protocol))
    throw new SDError('INVALID_OPTION', `A model cannot be loaded from ${url.protocol} URLs.`);
  // Browsers refuse to fetch those; without this the message would hold the password.
  if (url.username || url.password)
    throw new SDError(
      'INVALID_OPTION',
      `The model's address at ${url.host} holds a user name or a password, with which browsers fetch nothing: leave them out.`,
    );
  return url.href;
}
