import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, normalize } from 'node:path';
import { build } from 'esbuild';

const TYPES: Readonly<Record<string, string>> = {
  '.js': 'text/javascript',
  '.wasm': 'application/wasm',
  '.txt': 'text/plain',
};

/** The site that embeds the SDK: the page of these tests, and the built package. */
export async function startSite(): Promise<{ origin: string; stop: () => void }> {
  const { outputFiles } = await build({
    entryPoints: ['tests/browser-faults/page.ts', 'tests/browser-faults/import-worker.ts'],
    bundle: true,
    write: false,
    outdir: 'out',
    format: 'esm',
    target: 'es2022',
  });
  const scripts = new Map(
    outputFiles.map(({ path, contents }) => [path.slice(path.lastIndexOf('/')), contents]),
  );
  const server: Server = createServer((request, response) => {
    const path = normalize(new URL(request.url!, 'http://x').pathname);
    response.setHeader('Cache-Control', 'no-store');
    const send = (type: string, body: string | Uint8Array): void =>
      void response.writeHead(200, { 'Content-Type': type }).end(body);
    if (path === '/')
      send('text/html', '<!doctype html><script type="module" src="/page.js"></script>');
    else if (scripts.has(path)) send('text/javascript', scripts.get(path)!);
    else if (path.startsWith('/dist/') && TYPES[extname(path)])
      send(TYPES[extname(path)], readFileSync(`.${path}`));
    else response.writeHead(404).end();
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address() as AddressInfo;
  const stop = (): void => {
    server.closeAllConnections();
    server.close();
  };
  return { origin: `http://127.0.0.1:${port}`, stop };
}
