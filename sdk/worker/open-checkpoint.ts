import { sha256 } from '../cache/index.ts';
import { isSDError } from '../errors.ts';
import type { Checkpoint, Remember } from '../weights/checkpoint.ts';
import { DirectoryFiles, MapFiles, UrlFiles, type ModelFiles } from '../weights/files.ts';
import { openDiffusersFolder } from '../weights/folder.ts';
import type { LoadFormats } from '../weights/formats.ts';
import { openTensors } from '../weights/open.ts';
import { folderPart, withParts, type OtherPart } from '../weights/parts.ts';
import { rememberFiles } from '../weights/remember.ts';
import { BlobSource, type ByteSource } from '../weights/source.ts';
import { UrlSource, type UrlOptions } from '../weights/url.ts';
import type { LoadRequest, ModelLocation } from './protocol.ts';

type Request = Pick<LoadRequest, 'model' | 'variant' | 'weights' | 'predictionType' | 'parts'>;

/** Of what is kept under a key; a change of names, layout or conversion needs another number. */
const IMPORT_VERSION = 2;

/**
 * Tells an import from all others: by where it comes from and how it is read. Picked files count as
 * the same while their paths, sizes and times of change are.
 */
export async function importKey(request: Request): Promise<{ key: string; name: string }> {
  const { model, variant, weights = 'ema', parts = {} } = request;
  const places = await Promise.all(
    Object.entries(parts).map(async ([part, place]) => [part, await identity(place)]),
  );
  const text = JSON.stringify([IMPORT_VERSION, await identity(model), variant, weights, places]);
  const key = await sha256(new TextEncoder().encode(text));
  return { key, name: nameOf(model) };
}

export interface OpenOptions {
  readonly formats: LoadFormats;
  /** URL of CLIP's vocabulary. */
  readonly merges: string;
  readonly remember?: Remember;
  readonly url?: UrlOptions;
  readonly signal?: AbortSignal;
}

/** Opens the model that a request asks for: a folder or a single file, with its replaced parts. */
export async function openCheckpoint(request: Request, options: OpenOptions): Promise<Checkpoint> {
  const { model, variant, predictionType, parts = {} } = request;
  const { formats, signal, remember = (_, load) => load() } = options;
  const openFile = async (source: ByteSource): Promise<Checkpoint> =>
    (await formats(signal)).openSingleFile({
      name: source.name,
      tensors: () => openTensors(source, formats, signal),
      predictionType,
      merges: new UrlSource(new URL(options.merges)),
      remember,
      signal,
    });
  const openFolder = async (): Promise<Checkpoint> => {
    const files = rememberFiles(filesOf(model, options.url), remember);
    // Addresses such as `…/download/123` do not tell: one without an index is taken for a file.
    const unnamed = model.kind === 'url' ? oneFile(model, options.url) : undefined;
    if (unnamed && !(await files.has('model_index.json', signal)))
      try {
        return await openFile(unnamed);
      } catch (error) {
        if (!isSDError(error) || error.code !== 'MISSING_FILE') throw error;
      }
    return openDiffusersFolder(files, { variant, formats, signal });
  };
  const file = singleFile(model, options.url);
  const base = await (file ? openFile(file) : openFolder());
  const others = new Map<string, OtherPart>();
  for (const [part, place] of Object.entries(parts)) {
    const source = singleFile(place, options.url);
    const below: Remember = (path, load) => remember(`parts/${part}/${path}`, load);
    const files = (): ModelFiles => rememberFiles(filesOf(place, options.url), below);
    others.set(
      part,
      source
        ? (await formats(signal)).filePart(part, () => openTensors(source, formats, signal), below)
        : folderPart(files(), part, { variant, formats, signal }),
    );
  }
  return withParts(base, others);
}

const WEIGHT_FILE = /\.(safetensors|ckpt|pth?|bin)$/i;

/** The location as one weight file; undefined where its name says that it is a folder. */
function singleFile(location: ModelLocation, options?: UrlOptions): ByteSource | undefined {
  const path = location.kind === 'url' ? new URL(location.url).pathname : onlyFile(location)?.path;
  return path && WEIGHT_FILE.test(path) ? oneFile(location, options) : undefined;
}

/** The location as one file, whatever its name; undefined where it is more than one. */
export function oneFile(location: ModelLocation, options?: UrlOptions): ByteSource | undefined {
  if (location.kind === 'url') {
    const url = new URL(location.url);
    return url.pathname.endsWith('/') ? undefined : new UrlSource(url, options);
  }
  const only = onlyFile(location);
  return only && new BlobSource(only.file, only.path);
}

const onlyFile = (location: ModelLocation): { path: string; file: Blob } | undefined =>
  location.kind === 'files' && location.files.length === 1 ? location.files[0] : undefined;

function filesOf(location: ModelLocation, options?: UrlOptions): ModelFiles {
  switch (location.kind) {
    case 'url':
      return new UrlFiles(new URL(location.url), options);
    case 'directory':
      return new DirectoryFiles(location.handle);
    case 'files':
      return MapFiles.fromPaths(location.files.map(({ path, file }) => [path, file]));
  }
}

function nameOf(location: ModelLocation): string {
  if (location.kind === 'url') return location.url;
  if (location.kind === 'directory') return location.handle.name;
  const [{ path }] = location.files;
  return location.files.length === 1 ? path : path.split('/')[0];
}

/** Plain data that is the same for the same files. */
export async function identity(location: ModelLocation): Promise<unknown> {
  if (location.kind === 'url') return location.url;
  const files: [string, Blob][] = [];
  if (location.kind === 'directory') await walk(location.handle, '', files);
  else for (const { path, file } of location.files) files.push([path, file]);
  return files
    .map(([path, file]) => [path, file.size, file instanceof File ? file.lastModified : 0])
    .sort();
}

const MAX_FILES = 1000;

async function walk(
  folder: FileSystemDirectoryHandle,
  path: string,
  files: [string, Blob][],
): Promise<void> {
  // TypeScript's DOM types lack the iterator of a directory.
  const entries = folder as unknown as { values(): AsyncIterable<FileSystemHandle> };
  for await (const entry of entries.values()) {
    if (files.length >= MAX_FILES) return;
    const below = `${path}${entry.name}`;
    if (entry.kind === 'directory')
      await walk(entry as FileSystemDirectoryHandle, `${below}/`, files);
    else files.push([below, await (entry as FileSystemFileHandle).getFile()]);
  }
}
