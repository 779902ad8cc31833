// `npm run docs:serve`: shows build/site, which `npm run docs` makes.
import { existsSync, readFileSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { extname, join, normalize, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

const site = fileURLToPath(new URL('../build/site', import.meta.url));
const TYPES = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.jpg': 'image/jpeg',
};

/** @returns {import('node:http').Server} not listening yet */
export const docsServer = () =>
  createServer(({ url }, response) => {
    const { pathname } = new URL(url, 'http://localhost');
    let file = normalize(join(site, decodeURIComponent(pathname)));
    if (file.endsWith(sep)) file = join(file, 'index.html');
    if (!file.startsWith(site + sep) || !existsSync(file) || !statSync(file).isFile())
      return response.writeHead(404, { 'Content-Type': 'text/plain' }).end('Not found');
    response.writeHead(200, {
      'Content-Type': TYPES[extname(file)] ?? 'application/octet-stream',
      // The site says nothing to anyone: a resource from elsewhere would show in a test.
      'Content-Security-Policy':
        "default-src 'self'; style-src 'self' 'unsafe-inline'; script-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self' data:",
    });
    response.end(readFileSync(file));
  });

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const server = docsServer().listen(Number(process.env.PORT ?? 8090), 'localhost', () => {
    console.log(`\n  Open http://localhost:${server.address().port}/\n\n  Ctrl+C stops it.`);
  });
}
