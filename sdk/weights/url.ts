import { SDError } from '../errors.ts';
import { endsEarly, throwIfAborted, type ByteSource } from './source.ts';

export interface UrlOptions {
  /** Default: the global `fetch`. */
  readonly fetch?: typeof fetch;
  /** Sent with every request, such as `Authorization` for a gated model. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Failures in a row, with no byte between them, before giving up. Default 6. */
  readonly attempts?: number;
  /** Milliseconds before the first retry; each further one waits twice as long. Default 500. */
  readonly backOff?: number;
  /** Milliseconds without a byte after which a connection counts as dead. Default 30 000. */
  readonly stall?: number;
}

const MAX_BACK_OFF = 15_000;
const MAX_RETRY_AFTER = 120_000;
/** Bytes of a file's start that are kept: the first request asks for them, and most headers begin there. */
const HEAD = 64 * 1024;

/**
 * A file on a server. Requests carry `Range: bytes=a-b`, which needs no CORS preflight; a server
 * that ignores it is read as a plain stream. Cut, stalled and refused (429, 5xx) requests are
 * taken up again where they ended. Web pages, wrong ranges and files that change are refused.
 */
export class UrlSource implements ByteSource {
  readonly name: string;
  readonly #url: URL;
  readonly #fetch: typeof fetch;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #attempts: number;
  readonly #backOff: number;
  readonly #stall: number;
  #seekable = true;
  #size: number | undefined;
  #sizeAsked = false;
  #head = new Uint8Array(0);
  #etag: string | undefined;

  constructor(url: URL, options: UrlOptions = {}) {
    this.#url = url;
    this.name = url.href;
    this.#fetch = options.fetch ?? globalThis.fetch.bind(globalThis);
    this.#headers = options.headers ?? {};
    this.#attempts = options.attempts ?? 6;
    this.#backOff = options.backOff ?? 500;
    this.#stall = options.stall ?? 30_000;
  }

  get seekable(): boolean {
    return this.#seekable;
  }

  async size(signal?: AbortSignal): Promise<number | undefined> {
    if (!this.#sizeAsked) {
      this.#head = await this.#collect(0, HEAD, signal, true);
      if (this.#size === undefined && this.#seekable) {
        // CORS hides Content-Range. An answer without an end tells the length in its headers; the
        // body, cancelled by `return`, is partly on its way already, so this comes second.
        const pieces = this.stream(0, undefined, signal);
        await pieces.next();
        await pieces.return(undefined);
      }
      this.#sizeAsked = true;
    }
    return this.#size;
  }

  async read(begin: number, end: number, signal?: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
    if (this.#size !== undefined && end > this.#size) throw endsEarly(this.name, this.#size, end);
    if (end <= this.#head.length) return this.#head.slice(begin, end);
    const bytes = await this.#collect(begin, end, signal);
    if (bytes.length < end - begin) throw endsEarly(this.name, begin + bytes.length, end);
    return bytes;
  }

  /** The bytes from `begin` to `end`, fewer where the file ends before, as it may with `mayEnd`. */
  async #collect(
    begin: number,
    end: number,
    signal: AbortSignal | undefined,
    mayEnd = false,
  ): Promise<Uint8Array<ArrayBuffer>> {
    const bytes = new Uint8Array(end - begin);
    let filled = 0;
    for await (const chunk of this.stream(begin, end, signal, mayEnd)) {
      bytes.set(chunk, filled);
      filled += chunk.length;
    }
    return bytes.subarray(0, filled);
  }

  /**
   * As its interface says, over as many requests as it takes.
   * @param mayEnd the file may end before `end`
   */
  async *stream(
    begin = 0,
    end?: number,
    signal?: AbortSignal,
    mayEnd = false,
  ): AsyncGenerator<Uint8Array> {
    let at = begin;
    let failures = 0;
    while (end === undefined || at < end) {
      try {
        for await (const chunk of this.#request(at, end, signal)) {
          at += chunk.length;
          failures = 0;
          yield chunk;
        }
        const last = Math.min(end ?? Infinity, this.#size ?? Infinity);
        if (last === Infinity || at >= last) return;
        // A server without ranges that tells no length (it compresses, say) has no more.
        if (mayEnd && !this.#seekable && this.#size === undefined) return;
        // A chunked body cut short can end cleanly: only the length tells.
        throw new Transient(`it ended after ${at} of ${last} bytes`);
      } catch (error) {
        throwIfAborted(signal);
        if (!(error instanceof Transient)) throw error;
        failures++;
        if (failures >= this.#attempts || error.wait > MAX_RETRY_AFTER)
          throw this.#failed(error, failures);
        const backOff = Math.min(this.#backOff * 2 ** (failures - 1), MAX_BACK_OFF);
        await pause(Math.max(error.wait, backOff * (0.75 + Math.random() / 2)), signal);
      }
    }
  }

  /** One request: its body, from `at` on and never past `end`. */
  async *#request(
    at: number,
    end: number | undefined,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<Uint8Array> {
    throwIfAborted(signal);
    const connection = new Connection(this.#stall, signal);
    try {
      const response = await connection.run(
        this.#fetch(this.#url, {
          headers: { ...this.#headers, Range: `bytes=${at}-${end === undefined ? '' : end - 1}` },
          // The SDK keeps its own verified copy; a second one in the HTTP cache would be waste.
          cache: 'no-store',
          signal: connection.signal,
        }),
      );
      if (response.status === 416 && at === 0) {
        this.#learnSize(0);
        return;
      }
      this.#checkStatus(response);
      this.#checkSame(response);
      // An answer to a Range that was honoured starts at `at`; any other at 0.
      let skip = 0;
      if (response.status === 206) this.#checkRange(response, at, end);
      else {
        this.#seekable = false;
        this.#learnSize(plainLength(response));
        skip = at;
      }
      if (!response.body) throw new Transient('it came without a body');
      let left = end === undefined ? Infinity : end - at;
      const reader = response.body.getReader();
      for (;;) {
        const { done, value } = await connection.run(reader.read());
        if (done) return;
        const chunk = value.subarray(Math.min(skip, value.length));
        skip -= value.length - chunk.length;
        if (response.status === 206 && chunk.length > left)
          throw this.#refused('answered a range request with more bytes than were asked for');
        if (chunk.length > 0) yield chunk.subarray(0, Math.min(chunk.length, left));
        left -= chunk.length;
        if (left <= 0) return;
      }
    } finally {
      connection.close();
    }
  }

  #checkStatus(response: Response): void {
    const { status } = response;
    if (status === 404 || status === 410)
      throw new SDError('MISSING_FILE', `${this.name} is not there (HTTP ${status}).`);
    if (status === 401 || status === 403)
      throw new SDError(
        'NETWORK',
        `${this.name} is not open to this page (HTTP ${status}). A gated model needs an Authorization header.`,
      );
    if (status === 408 || status === 425 || status === 429 || status >= 500)
      throw new Transient(`the server answered HTTP ${status}`, retryAfter(response));
    if (status === 416)
      throw new SDError('INVALID_FILE', `${this.name} is shorter than it says. Fetch it again.`);
    if (status !== 200 && status !== 206) throw this.#refused(`answered HTTP ${status}`);
    if (/^text\/html\b/i.test(response.headers.get('Content-Type') ?? ''))
      throw new SDError(
        'MISSING_FILE',
        `${this.name} leads to a web page, not to a file. On a model hub use the address of the file itself (…/resolve/…).`,
        // A sign-in page of the network in between is gone the next time.
        { retryable: true },
      );
  }

  /** Content-Range can be hidden by CORS; where it shows it must be what was asked for. */
  #checkRange(response: Response, at: number, end: number | undefined): void {
    const range = response.headers.get('Content-Range');
    const length = response.headers.get('Content-Length');
    if (range === null) {
      // Fewer bytes than were asked for are the last ones.
      if (length !== null && (end === undefined || Number(length) < end - at))
        this.#learnSize(at + Number(length));
      return;
    }
    const match = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(range.trim());
    if (!match || Number(match[1]) !== at || (end !== undefined && Number(match[2]) >= end))
      throw this.#refused(`answered a range request with the wrong range (${range})`);
    if (match[3] !== '*') this.#learnSize(Number(match[3]));
  }

  #learnSize(size: number | undefined): void {
    if (size === undefined) return;
    if (this.#size !== undefined && this.#size !== size) throw this.#changed();
    this.#size = size;
  }

  #checkSame(response: Response): void {
    const etag = response.headers.get('ETag') ?? undefined;
    if (this.#etag !== undefined && etag !== undefined && etag !== this.#etag)
      throw this.#changed();
    this.#etag ??= etag;
  }

  #changed(): SDError {
    return new SDError('NETWORK', `${this.name} changed while it was read. Load it again.`, {
      retryable: true,
    });
  }

  #refused(what: string): SDError {
    return new SDError('NETWORK', `The server of ${this.name} ${what}.`);
  }

  #failed(error: Transient, attempts: number): SDError {
    const then =
      error.wait > MAX_RETRY_AFTER
        ? `It asks to wait ${Math.ceil(error.wait / 1000)} seconds: load again after that.`
        : 'Check the connection and load again; a server of another origin must send Access-Control-Allow-Origin.';
    return new SDError(
      'NETWORK',
      `${this.name} could not be read: ${error.message} (${attempts} tries). ${then}`,
      { cause: error.cause, retryable: true },
    );
  }
}

/** A failure that another try may mend. `wait` is the server's Retry-After in milliseconds. */
class Transient extends Error {
  readonly wait: number;

  constructor(message: string, wait = 0, cause?: unknown) {
    super(message, { cause });
    this.wait = wait;
  }
}

/** Ends a request when the caller aborts, or when nothing has come for `stall` milliseconds. */
class Connection {
  readonly #controller = new AbortController();
  readonly #stall: number;
  readonly #caller: AbortSignal | undefined;
  readonly #onAbort = (): void => this.#controller.abort(this.#caller?.reason);

  constructor(stall: number, caller: AbortSignal | undefined) {
    this.#stall = stall;
    this.#caller = caller;
    caller?.addEventListener('abort', this.#onAbort, { once: true });
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  async run<T>(step: Promise<T>): Promise<T> {
    const timer = setTimeout(
      () => this.#controller.abort(new Error(`nothing came for ${this.#stall} ms`)),
      this.#stall,
    );
    try {
      return await step;
    } catch (cause) {
      throw new Transient((cause as Error)?.message ?? 'the request failed', 0, cause);
    } finally {
      clearTimeout(timer);
    }
  }

  close(): void {
    this.#caller?.removeEventListener('abort', this.#onAbort);
    this.#controller.abort();
  }
}

/** Milliseconds of a Retry-After header, given in seconds or as a date. */
function retryAfter(response: Response): number {
  const value = response.headers.get('Retry-After');
  if (value === null) return 0;
  const milliseconds = /^\d+$/.test(value.trim())
    ? Number(value) * 1000
    : Date.parse(value) - Date.now();
  return Number.isFinite(milliseconds) ? Math.max(0, milliseconds) : 0;
}

/**
 * Content-Length of a plain answer counts the bytes before decompression, and CORS hides
 * Content-Encoding: from another origin it says nothing sure.
 */
function plainLength(response: Response): number | undefined {
  const length = response.headers.get('Content-Length');
  const sure = response.type !== 'cors' && response.headers.get('Content-Encoding') === null;
  return sure && length !== null ? Number(length) : undefined;
}

async function pause(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  await new Promise<void>((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, milliseconds);
    signal?.addEventListener('abort', done, { once: true });
  });
  throwIfAborted(signal);
}
