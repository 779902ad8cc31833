import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';

export interface Answer {
  readonly path: string;
  /** First byte that was asked for. */
  readonly begin: number;
  /** Bytes that were handed to the network. */
  sent: number;
}

const PIECE = 64 * 1024;

/**
 * Serves model files from another origin, as hubs do, at a set pace, and counts what it gives.
 */
export class ModelServer {
  readonly files = new Map<string, Uint8Array>();
  readonly answers: Answer[] = [];
  /** Bytes a millisecond and request; Infinity does not hold back. */
  pace = Infinity;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #port = 0;

  private constructor() {
    this.#server = createServer((request, response) => void this.#answer(request, response));
    this.#server.on('connection', (socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
    });
  }

  static async start(): Promise<ModelServer> {
    const server = new ModelServer();
    await server.up();
    return server;
  }

  /** Starts to listen, on the same port as before. */
  async up(): Promise<void> {
    await new Promise<void>((done) => this.#server.listen(this.#port, '127.0.0.1', done));
    this.#port = (this.#server.address() as AddressInfo).port;
  }

  /** Cuts every connection and refuses new ones. */
  async down(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((done) => this.#server.close(done));
  }

  url(path: string): string {
    return `http://localhost:${this.#port}/${path}`;
  }

  /** Bytes given since the log was last emptied. */
  get sent(): number {
    return this.answers.reduce((sum, { sent }) => sum + sent, 0);
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = new URL(request.url!, 'http://localhost').pathname.slice(1);
    const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '');
    const file = this.files.get(path);
    const answer: Answer = { path, begin: range ? Number(range[1]) : 0, sent: 0 };
    this.answers.push(answer);
    response.setHeader('Access-Control-Allow-Origin', '*');
    response.setHeader('Access-Control-Expose-Headers', 'Content-Range');
    response.setHeader('Cross-Origin-Resource-Policy', 'cross-origin');
    if (!file) {
      response.writeHead(404).end();
      return;
    }
    const end = range?.[2] ? Math.min(Number(range[2]) + 1, file.length) : file.length;
    response.writeHead(range ? 206 : 200, {
      'Content-Type': 'application/octet-stream',
      'Content-Length': end - answer.begin,
      ...(range ? { 'Content-Range': `bytes ${answer.begin}-${end - 1}/${file.length}` } : {}),
    });
    for (let at = answer.begin; at < end && !response.destroyed; at += PIECE) {
      const piece = file.subarray(at, Math.min(at + PIECE, end));
      answer.sent += piece.length;
      response.write(piece);
      const held = Number.isFinite(this.pace) ? piece.length / this.pace : 0;
      if (held > 0) await new Promise((done) => setTimeout(done, held));
      if (response.writableNeedDrain && !response.destroyed)
        await new Promise<void>((done) => {
          const settle = (): void => {
            response.off('drain', settle).off('close', settle);
            done();
          };
          response.on('drain', settle).on('close', settle);
        });
    }
    response.end();
  }
}
