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
  /** From `begin` (default 0) to `end` (default the end of the file). */
  stream(begin?: number, end?: number, signal?: AbortSignal): AsyncIterable<Uint8Array>;
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

  async *stream(begin = 0, end?: number, signal?: AbortSignal): AsyncIterable<Uint8Array> {
    const reader = this.#blob.slice(begin, end).stream().getReader();
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

  async *stream(begin = 0, end?: number, signal?: AbortSignal): AsyncIterable<Uint8Array> {
    throwIfAborted(signal);
    if (begin < this.#bytes.length) yield this.#bytes.subarray(begin, end);
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
  for await (const chunk of source.stream(0, undefined, signal)) {
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

/** Bytes from `begin` to before `end`. */
export interface Range {
  readonly begin: number;
  readonly end: number;
}

/**
 * Reads pieces of a source in rising order over one stream, and seeks over large gaps. A stream ends
 * with the last piece that is wanted of it: what a server sends past that is lost on the way.
 */
export class Cursor {
  readonly #source: ByteSource;
  readonly #wanted: readonly Range[];
  readonly #signal: AbortSignal | undefined;
  #chunks: AsyncIterator<Uint8Array> | undefined;
  #rest: Uint8Array = new Uint8Array(0);
  #at = 0;
  #end = 0;

  /** @param wanted all that will be read, by rising `begin`. */
  constructor(source: ByteSource, wanted: readonly Range[], signal?: AbortSignal) {
    this.#source = source;
    this.#wanted = wanted;
    this.#signal = signal;
  }

  /** `length` bytes at `begin`; the caller has checked them against the size of the file. */
  async read(
    begin: number,
    length: number,
    onBytes?: (count: number) => void,
  ): Promise<Uint8Array<ArrayBuffer>> {
    const out = new Uint8Array(length);
    let filled = 0;
    for await (const piece of this.pieces(begin, length)) {
      out.set(piece, filled);
      filled += piece.length;
      onBytes?.(piece.length);
    }
    return out;
  }

  /** As {@link read}, in pieces as they come. */
  async *pieces(begin: number, length: number): AsyncIterable<Uint8Array> {
    if (length === 0) return;
    await this.#seek(begin);
    for (let left = length; left > 0;) {
      const piece = await this.#next(left);
      left -= piece.length;
      yield piece;
    }
  }

  /** Ends the stream. */
  async close(): Promise<void> {
    const chunks = this.#chunks;
    this.#chunks = undefined;
    this.#rest = new Uint8Array(0);
    await chunks?.return?.();
  }

  async #seek(begin: number): Promise<void> {
    if (this.#chunks && (begin < this.#at || begin >= this.#end)) await this.close();
    if (!this.#chunks) {
      this.#end = this.#endOfRun(begin);
      const stream = this.#source.stream(begin, this.#end, this.#signal);
      this.#chunks = stream[Symbol.asyncIterator]();
      this.#at = begin;
    }
    while (this.#at < begin) await this.#next(begin - this.#at);
  }

  /** Where the pieces end that one stream from `begin` on should give. */
  #endOfRun(begin: number): number {
    let end = begin;
    for (const piece of this.#wanted) {
      if (piece.end <= begin) continue;
      if (end > begin && this.#source.seekable && piece.begin - end > READ_THROUGH) break;
      end = Math.max(end, piece.end);
    }
    return end;
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

/** Little-endian; not exact beyond 2^53. */
export function uint64(data: DataView, at: number): number {
  return data.getUint32(at, true) + data.getUint32(at + 4, true) * 2 ** 32;
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
