// `npm start`: serves the demos as a real site should serve them. Nothing but Node is used.
import { createReadStream, existsSync, realpathSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { dirname, extname, join, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { oembed } from './embed/oembed.mjs';

const root = realpathSync(join(dirname(fileURLToPath(import.meta.url)), '..'));
/** Folders that are served; everything else is not there. */
const PUBLIC = ['demos', 'dist'];
const HOME = '/demos/';

const TYPES = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.mjs': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json; charset=utf-8',
  '.map': 'application/json; charset=utf-8',
  '.txt': 'text/plain; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.webp': 'image/webp',
  '.wasm': 'application/wasm',
  '.safetensors': 'application/octet-stream',
};

export const HEADERS = {
  // Together these make the page cross-origin isolated, which is what allows threads.
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
  'Cross-Origin-Resource-Policy': 'cross-origin',
  // A sandboxed frame has no origin: to it even its own scripts and weights come from another.
  'Access-Control-Allow-Origin': '*',
  // The least that the SDK needs, and nothing more.
  'Content-Security-Policy': [
    "default-src 'none'",
    "script-src 'self' 'wasm-unsafe-eval'",
    "worker-src 'self' blob:",
    "style-src 'self'",
    "img-src 'self' blob: data:",
    "connect-src 'self' blob:",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'self'",
  ].join('; '),
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
  'Cache-Control': 'no-cache',
};

/** For the page that sits in frames of other sites. */
const EMBED_HEADERS = {
  ...HEADERS,
  // Isolates the frame, and so allows threads, whatever the page around it sends (Chrome 137).
  'Document-Isolation-Policy': 'isolate-and-require-corp',
  'Content-Security-Policy': HEADERS['Content-Security-Policy']
    .replace("frame-ancestors 'self'", 'frame-ancestors *')
    // In a sandboxed frame only `data:` starts module workers.
    .replace('blob:;', 'blob: data:;'),
};

/** Where a page needs more than the others, only it gets more. */
const PAGES = [
  ['/demos/embed/', () => EMBED_HEADERS],
  // Its worker fetches models from wherever a person says.
  ['/demos/08-your-checkpoint/', () => allowing("connect-src 'self'", 'https:')],
  // It has a frame and a script of the second address.
  [
    '/demos/10-embed/',
    (other) =>
      other && allowing("script-src 'self'", other, `frame-src ${other}; script-src 'self'`),
  ],
];

/** The headers with one more source in a directive of the policy. */
function allowing(directive, source, start = directive) {
  const policy = HEADERS['Content-Security-Policy'].replace(directive, `${start} ${source}`);
  return { ...HEADERS, 'Content-Security-Policy': policy };
}

/** The file that a path names, or undefined; never one outside of the public folders. */
function find(path) {
  let decoded;
  try {
    decoded = decodeURIComponent(path);
  } catch {
    return undefined;
  }
  if (decoded.includes('\0')) return undefined;
  let file = join(root, decoded);
  if (existsSync(file) && statSync(file).isDirectory()) file = join(file, 'index.html');
  if (!existsSync(file)) return undefined;
  const real = realpathSync(file);
  return PUBLIC.some((folder) => real.startsWith(join(root, folder) + sep)) ? real : undefined;
}

/** `bytes=a-b`, `bytes=a-` or `bytes=-n`, as [first, last]; undefined for the whole file. */
function rangeOf(header, size) {
  const match = /^bytes=(\d*)-(\d*)$/.exec(header ?? '');
  if (!match || (match[1] === '' && match[2] === '')) return undefined;
  const [first, last] =
    match[1] === ''
      ? [Math.max(0, size - Number(match[2])), size - 1]
      : [Number(match[1]), match[2] === '' ? size - 1 : Math.min(Number(match[2]), size - 1)];
  return [first, last];
}

function sendOembed({ headers: { host = '' } }, response, query) {
  // The header is the client's word: only what looks like a host goes into the document.
  const found = /^[a-z\d.-]+(:\d+)?$/.test(host) && oembed(query, `http://${host}`);
  if (!found) return response.writeHead(404, { 'Content-Type': 'text/plain' }).end('Not found');
  response.writeHead(200, { 'Content-Type': TYPES['.json'] }).end(JSON.stringify(found));
}

/** @param other the origin of the second address, where there is one */
export function handle(request, response, other) {
  const { pathname, searchParams } = new URL(request.url, 'http://localhost');
  if (pathname === '/') return response.writeHead(302, { Location: HOME }).end();
  const headers = PAGES.find(([path]) => pathname.startsWith(path))?.[1](other) ?? HEADERS;
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
  if (request.method !== 'GET' && request.method !== 'HEAD') return response.writeHead(405).end();
  if (pathname === '/demos/embed/oembed.json') return sendOembed(request, response, searchParams);
  if (other && pathname === '/demos/10-embed/other-origin.json')
    return response
      .writeHead(200, { 'Content-Type': TYPES['.json'] })
      .end(JSON.stringify({ origin: other }));
  const file = find(pathname);
  if (!file) return response.writeHead(404, { 'Content-Type': 'text/plain' }).end('Not found');
  // A folder without its slash would break the page's relative addresses.
  if (file.endsWith('index.html') && !/(\/|\.html)$/.test(pathname))
    return response.writeHead(302, { Location: `${pathname}/` }).end();

  const { size, mtimeMs } = statSync(file);
  const etag = `"${size}-${mtimeMs}"`;
  if (request.headers['if-none-match'] === etag) return response.writeHead(304).end();
  const range = rangeOf(request.headers.range, size);
  if (range && range[0] > range[1])
    return response.writeHead(416, { 'Content-Range': `bytes */${size}` }).end();
  const [start, end] = range ?? [0, size - 1];
  response.writeHead(range ? 206 : 200, {
    'Content-Type': TYPES[extname(file)] ?? 'application/octet-stream',
    'Content-Length': end - start + 1,
    'Accept-Ranges': 'bytes',
    ETag: etag,
    ...(range && { 'Content-Range': `bytes ${start}-${end}/${size}` }),
  });
  if (request.method === 'HEAD' || size === 0) return response.end();
  createReadStream(file, { start, end })
    .on('error', () => response.destroy())
    .pipe(response);
}

/**
 * Listens on `port`, or on the next free one.
 * @param other the origin of another such server, for the page that shows a frame of another site
 */
export function listen(port, other, tries = 20) {
  return new Promise((done, fail) => {
    const server = createServer((request, response) => handle(request, response, other));
    server.once('error', (error) => {
      if (error.code === 'EADDRINUSE' && tries > 0) done(listen(port + 1, other, tries - 1));
      else fail(error);
    });
    server.listen(port, 'localhost', () => done(server));
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const port = Number(process.env.PORT ?? 8080);
  const second = await listen(port + 1);
  const server = await listen(port, `http://localhost:${second.address().port}`);
  console.log(`\n  Open http://localhost:${server.address().port}/\n`);
  console.log('  Ctrl+C stops it.');
}
