import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** What the server does with one request. `range` is what was asked for, `end` exclusive. */
export type Behaviour =
  | 'range' // as a good server
  | 'plain' // ignores Range: 200 and the whole file
  | 'cut' // promises all, sends half, drops the connection
  | 'short' // chunked, sends half, ends cleanly
  | 'flip' // one byte differs
  | 'html' // 200 and a web page
  | 'stall' // sends half, then nothing
  | 'silent' // accepts and never answers
  | 'redirect' // to the same path with ?redirected
  | 'wrong-206' // answers another range than the one asked for
  | 'long-206' // more bytes than were asked for, range not named
  | 'no-content-range' // 206 as CORS shows it when the header is not exposed
  | 'plain-206' // 200 status would be right: 206 with the whole file
  | { readonly status: number; readonly headers?: Record<string, string> };

export interface RequestLog {
  readonly path: string;
  readonly range: string | undefined;
}

/** A server that serves `files` and misbehaves by a script: one behaviour for each request. */
export class BadServer {
  readonly files = new Map<string, Uint8Array>();
  readonly requests: RequestLog[] = [];
  /** Taken from the front; when it is empty, `otherwise` holds. */
  script: Behaviour[] = [];
  otherwise: Behaviour = 'range';
  etag: string | undefined;
  sent = 0;
  readonly #server: Server;

  private constructor() {
    this.#server = createServer((request, response) => this.#answer(request, response));
  }

  static async start(): Promise<BadServer> {
    const server = new BadServer();
    await new Promise<void>((resolve) => server.#server.listen(0, '127.0.0.1', resolve));
    return server;
  }

  url(path: string): URL {
    return new URL(path, `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/`);
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const url = new URL(request.url!, 'http://localhost');
    const path = url.pathname.slice(1);
    this.requests.push({ path, range: request.headers.range });
    const file = this.files.get(path);
    const behaviour = this.script.shift() ?? this.otherwise;
    if (typeof behaviour === 'object') {
      response.writeHead(behaviour.status, behaviour.headers).end('no');
      return;
    }
    if (behaviour === 'silent') return;
    if (behaviour === 'redirect') {
      response.writeHead(302, { Location: `${url.pathname}?redirected` }).end();
      return;
    }
    if (behaviour === 'html') {
      response.writeHead(200, { 'Content-Type': 'text/html; charset=utf-8' });
      response.end('<!doctype html><title>Sign in</title>');
      return;
    }
    if (!file) {
      response.writeHead(404).end('no such file');
      return;
    }
    this.#send(request, response, file, behaviour);
  }

  #send(
    request: IncomingMessage,
    response: ServerResponse,
    file: Uint8Array,
    behaviour: Exclude<Behaviour, object>,
  ): void {
    const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '');
    const partial = range !== null && behaviour !== 'plain';
    let begin = partial ? Number(range[1]) : 0;
    let end =
      partial && range[2] !== '' ? Math.min(Number(range[2]) + 1, file.length) : file.length;
    if (begin >= file.length && partial) {
      response.writeHead(416, { 'Content-Range': `bytes */${file.length}` }).end();
      return;
    }
    if (behaviour === 'wrong-206') begin = Math.max(0, begin - 1);
    if (behaviour === 'plain-206' || behaviour === 'long-206') [begin, end] = [0, file.length];
    const bytes = file.slice(begin, end);
    if (behaviour === 'flip') bytes[bytes.length >> 1] ^= 1;

    const headers: Record<string, string | number> = {
      'Content-Type': 'application/octet-stream',
    };
    if (this.etag) headers.ETag = this.etag;
    const named = !['no-content-range', 'long-206'].includes(behaviour);
    if (partial && named) headers['Content-Range'] = `bytes ${begin}-${end - 1}/${file.length}`;
    if (behaviour !== 'short') headers['Content-Length'] = bytes.length;
    response.writeHead(partial ? 206 : 200, headers);

    const half = bytes.subarray(0, bytes.length >> 1);
    this.sent += behaviour === 'range' || behaviour === 'plain' ? bytes.length : half.length;
    if (behaviour === 'cut') response.write(half, () => response.destroy());
    else if (behaviour === 'short') response.end(half);
    else if (behaviour === 'stall') response.write(half);
    else response.end(bytes);
  }
}
