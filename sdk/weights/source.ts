import { SDError } from '../errors.ts';

/** Bytes that can be read from the middle or streamed: a URL, a picked file, or memory. */
export interface ByteSource {
  /** For messages: a URL or a file name. */
  readonly name: string;
  /** False once a server is seen to ignore `Range`: reading then means streaming from the start. */
  readonly seekable: boolean;
  /** In bytes; undefined where a server does not say. */
  size(signal?: AbortSignal): Promise<number | undefined>;
  /** Exactly `end - begin` bytes. @throws SDError INVALID_FILE where the file ends before. */
  read(begin: number, end: number, signal?: AbortSignal): Promise<Uint8Array<ArrayBuffer>>;
  /** From `begin` (default 0) to the end of the file. */
  stream(begin?: number, signal?: AbortSignal): AsyncIterable<Uint8Array>;
}

/** A picked or dropped file, or a Blob. */
export class BlobSource implements ByteSource {
  readonly name: string;
  readonly seekable = true;
  readonly #blob: Blob;

  constructor(blob: Blob, name = 'name' in blob ? String(blob.name) : 'blob') {
    this.#blob = blob;
    this.name = name;
  }

  async size(): Promise<number> {
    return this.#blob.size;
  }

  async read(begin: number, end: number, signal?: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
    throwIfAborted(signal);
    if (end > this.#blob.size) throw endsEarly(this.name, this.#blob.size, end);
    try {
      return new Uint8Array(await this.#blob.slice(begin, end).arrayBuffer());
    } catch (cause) {
      throw this.#gone(cause);
    }
  }

  async *stream(begin = 0, signal?: AbortSignal): AsyncIterable<Uint8Array> {
    const reader = this.#blob.slice(begin).stream().getReader();
    try {
      for (;;) {
        throwIfAborted(signal);
        const { done, value } = await reader.read().catch((cause: unknown) => {
          throw this.#gone(cause);
        });
        if (done) return;
        yield value;
      }
    } finally {
      reader.cancel().catch(() => {});
    }
  }

  #gone(cause: unknown): SDError {
    return new SDError(
      'MISSING_FILE',
      `${this.name} can no longer be read: it was moved or changed since it was picked. Pick it again.`,
      { cause },
    );
  }
}

export class MemorySource implements ByteSource {
  readonly name: string;
  readonly seekable = true;
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array, name = 'memory') {
    this.#bytes = bytes;
    this.name = name;
  }

  async size(): Promise<number> {
    return this.#bytes.length;
  }

  async read(begin: number, end: number, signal?: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
    throwIfAborted(signal);
    if (end > this.#bytes.length) throw endsEarly(this.name, this.#bytes.length, end);
    return new Uint8Array(this.#bytes.subarray(begin, end));
  }

  async *stream(begin = 0, signal?: AbortSignal): AsyncIterable<Uint8Array> {
    throwIfAborted(signal);
    if (begin < this.#bytes.length) yield this.#bytes.subarray(begin);
  }
}

/**
 * A whole small file.
 * @param limit in bytes; a longer file is refused with INVALID_FILE.
 */
export async function readAll(
  source: ByteSource,
  limit: number,
  signal?: AbortSignal,
): Promise<Uint8Array<ArrayBuffer>> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of source.stream(0, signal)) {
    length += chunk.length;
    if (length > limit)
      throw new SDError('INVALID_FILE', `${source.name} is longer than ${limit} bytes.`);
    chunks.push(chunk);
  }
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}

/** Gaps up to this many bytes are read through, where a new request would cost more. */
const READ_THROUGH = 1024 * 1024;

/** Reads pieces of a source in rising order over one stream, and seeks over large gaps. */
export class Cursor {
  readonly #source: ByteSource;
  readonly #signal: AbortSignal | undefined;
  #chunks: AsyncIterator<Uint8Array> | undefined;
  #rest: Uint8Array = new Uint8Array(0);
  #at = 0;

  constructor(source: ByteSource, signal?: AbortSignal) {
    this.#source = source;
    this.#signal = signal;
  }

  /** `length` bytes at `begin`; the caller has checked them against the size of the file. */
  async read(
    begin: number,
    length: number,
    onBytes?: (count: number) => void,
  ): Promise<Uint8Array<ArrayBuffer>> {
    const out = new Uint8Array(length);
    if (length === 0) return out;
    await this.#seek(begin);
    for (let filled = 0; filled < length;) {
      const piece = await this.#next(length - filled);
      out.set(piece, filled);
      filled += piece.length;
      onBytes?.(piece.length);
    }
    return out;
  }

  /** Ends the stream. */
  async close(): Promise<void> {
    const chunks = this.#chunks;
    this.#chunks = undefined;
    this.#rest = new Uint8Array(0);
    await chunks?.return?.();
  }

  async #seek(begin: number): Promise<void> {
    const gap = begin - this.#at;
    if (this.#chunks && (gap < 0 || (gap > READ_THROUGH && this.#source.seekable)))
      await this.close();
    if (!this.#chunks) {
      this.#chunks = this.#source.stream(begin, this.#signal)[Symbol.asyncIterator]();
      this.#at = begin;
    }
    while (this.#at < begin) await this.#next(begin - this.#at);
  }

  /** At most `limit` bytes, at least one. */
  async #next(limit: number): Promise<Uint8Array> {
    while (this.#rest.length === 0) {
      const { done, value } = await this.#chunks!.next();
      if (done) throw endsEarly(this.#source.name, this.#at, this.#at + limit);
      this.#rest = value;
    }
    const piece = this.#rest.subarray(0, limit);
    this.#rest = this.#rest.subarray(piece.length);
    this.#at += piece.length;
    return piece;
  }
}

export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted)
    throw new SDError('ABORTED', 'The load was aborted.', { cause: signal.reason });
}

export function endsEarly(name: string, size: number, needed: number): SDError {
  return new SDError(
    'INVALID_FILE',
    `${name} ends after ${size} bytes, where ${needed} are needed. Fetch it again.`,
  );
}
