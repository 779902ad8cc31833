import { isSDError, SDError } from '../errors.ts';
import { BlobSource, MemorySource, readAll, type ByteSource } from './source.ts';
import { UrlSource, type UrlOptions } from './url.ts';

/** The files of a model by their paths below its folder, `/` between the parts. */
export interface ModelFiles {
  /** For messages. */
  readonly name: string;
  /** @throws SDError MISSING_FILE, here or at the first read. */
  open(path: string): Promise<ByteSource>;
  has(path: string, signal?: AbortSignal): Promise<boolean>;
}

/** A folder on a server, such as a hub's `…/resolve/main`. Its query goes with every request. */
export class UrlFiles implements ModelFiles {
  readonly name: string;
  readonly #base: URL;
  readonly #options: UrlOptions;
  /** One source per file, so that what a probe learned of it is kept. */
  readonly #sources = new Map<string, UrlSource>();

  constructor(base: URL, options: UrlOptions = {}) {
    this.#base = new URL(base);
    if (!this.#base.pathname.endsWith('/')) this.#base.pathname += '/';
    this.name = this.#base.href;
    this.#options = options;
  }

  async open(path: string): Promise<ByteSource> {
    let source = this.#sources.get(path);
    if (!source) {
      const url = new URL(checkPath(path), this.#base);
      url.search = this.#base.search;
      source = new UrlSource(url, this.#options);
      this.#sources.set(path, source);
    }
    return source;
  }

  async has(path: string, signal?: AbortSignal): Promise<boolean> {
    try {
      const source = await this.open(path);
      await source.size(signal);
      return true;
    } catch (error) {
      if (isSDError(error) && error.code === 'MISSING_FILE') return false;
      throw error;
    }
  }
}

/** Files in memory or picked one by one. */
export class MapFiles implements ModelFiles {
  readonly name: string;
  readonly #files: ReadonlyMap<string, Blob | Uint8Array>;

  constructor(files: ReadonlyMap<string, Blob | Uint8Array>, name = 'the model folder') {
    this.#files = files;
    this.name = name;
  }

  /**
   * What a person picked with `<input webkitdirectory>` or dropped. The folder that holds
   * `model_index.json` (the one nearest to the top) becomes the root.
   */
  static fromPaths(entries: Iterable<readonly [path: string, file: Blob]>): MapFiles {
    const byPath = new Map(entries);
    const index = [...byPath.keys()]
      .filter((path) => /(^|\/)model_index\.json$/.test(path))
      .sort((a, b) => a.split('/').length - b.split('/').length)[0];
    const root = index?.slice(0, -'model_index.json'.length) ?? '';
    const files = new Map<string, Blob>();
    for (const [path, file] of byPath)
      if (path.startsWith(root)) files.set(path.slice(root.length), file);
    return new MapFiles(files, root === '' ? undefined : root.slice(0, -1));
  }

  async open(path: string): Promise<ByteSource> {
    const file = this.#files.get(checkPath(path));
    if (!file) throw missing(path, this.name);
    return file instanceof Blob ? new BlobSource(file, path) : new MemorySource(file, path);
  }

  async has(path: string): Promise<boolean> {
    return this.#files.has(path);
  }
}

/** A folder from `showDirectoryPicker()` or from the origin's private file system. */
export class DirectoryFiles implements ModelFiles {
  readonly name: string;
  readonly #root: FileSystemDirectoryHandle;

  constructor(root: FileSystemDirectoryHandle) {
    this.#root = root;
    this.name = root.name;
  }

  async open(path: string): Promise<ByteSource> {
    const file = await this.#find(path);
    if (!file) throw missing(path, this.name);
    return new BlobSource(file, path);
  }

  async has(path: string): Promise<boolean> {
    return (await this.#find(path)) !== undefined;
  }

  async #find(path: string): Promise<File | undefined> {
    const parts = checkPath(path).split('/');
    const name = parts.pop()!;
    try {
      let folder = this.#root;
      for (const part of parts) folder = await folder.getDirectoryHandle(part);
      return await (await folder.getFileHandle(name)).getFile();
    } catch (error) {
      const { name: kind } = error as DOMException;
      if (kind === 'NotFoundError' || kind === 'TypeMismatchError') return undefined;
      throw new SDError(
        'MISSING_FILE',
        `${path} cannot be read from ${this.name}; pick it again.`,
        {
          cause: error,
        },
      );
    }
  }
}

const MAX_TEXT = 16 * 1024 * 1024;

/** A text file of the model, UTF-8. @throws SDError MISSING_FILE, INVALID_FILE, NETWORK. */
export async function readText(
  files: ModelFiles,
  path: string,
  signal?: AbortSignal,
): Promise<string> {
  const bytes = await readAll(await files.open(path), MAX_TEXT, signal);
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new SDError('INVALID_FILE', `${path} in ${files.name} is not UTF-8 text.`, { cause });
  }
}

/** A JSON object of the model. @throws SDError MISSING_FILE, INVALID_FILE, NETWORK. */
export async function readJson(
  files: ModelFiles,
  path: string,
  signal?: AbortSignal,
): Promise<Record<string, unknown>> {
  const text = await readText(files, path, signal);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new SDError('INVALID_FILE', `${path} in ${files.name} is not valid JSON.`, { cause });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new SDError('INVALID_FILE', `${path} in ${files.name} is not a JSON object.`);
  return value as Record<string, unknown>;
}

/** A path can come from a file (a shard index), so it must not lead out of the folder. */
function checkPath(path: string): string {
  const parts = path.split('/');
  if (parts.some((part) => part === '' || part === '.' || part === '..') || /[\\:?#%]/.test(path))
    throw new SDError('INVALID_FILE', `${JSON.stringify(path)} is no path inside a model folder.`);
  return path;
}

function missing(path: string, where: string): SDError {
  return new SDError(
    'MISSING_FILE',
    `${path} is missing from ${where}. A diffusers folder is needed whole, as the model's repository holds it.`,
  );
}
