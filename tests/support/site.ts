import { createReadStream, statSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join } from 'node:path';

const TYPES: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.wasm': 'application/wasm',
  '.json': 'application/json',
  '.txt': 'text/plain; charset=utf-8',
};

export type Headers = Readonly<Record<string, string>>;

/** What is at a path: a page, a file on the disk, or an answer that never comes. */
export type Answer =
  | { readonly never: true; readonly headers?: Headers }
  | { readonly html: string; readonly headers?: Headers }
  | { readonly file: string; readonly headers?: Headers };

export interface Site {
  /** Without a slash at its end. */
  readonly origin: string;
  close(): void;
}

/** The file at `path` below `folder`, or its `index.html`. */
export const below = (folder: string, path: string): Answer => ({
  file: join(folder, path.endsWith('/') ? `${path}index.html` : path),
});

/** A web site on a port of its own. `localhost` and `127.0.0.1` are two sites to a browser. */
export async function openSite(
  answer: (path: string) => Answer | undefined,
  host = 'localhost',
): Promise<Site> {
  const server: Server = createServer(({ url }, response) => {
    const found = answer(decodeURIComponent(new URL(url ?? '/', 'http://localhost').pathname));
    for (const [name, value] of Object.entries(found?.headers ?? {}))
      response.setHeader(name, value);
    if (found && 'never' in found) return;
    if (found && 'html' in found) {
      response.setHeader('Content-Type', TYPES['.html']);
      response.end(found.html);
    } else if (found && statSync(found.file, { throwIfNoEntry: false })?.isFile()) {
      response.setHeader('Content-Type', TYPES[extname(found.file)] ?? 'application/octet-stream');
      createReadStream(found.file).pipe(response);
    } else response.writeHead(404).end();
  });
  await new Promise<void>((done) => server.listen(0, host, done));
  return {
    origin: `http://${host}:${(server.address() as AddressInfo).port}`,
    close: () => server.close().closeAllConnections(),
  };
}
