import type { Headers } from '../support/site.ts';

/** Where the SDK comes from: the page's own site, or another one that allows it by CORS. */
export type From = 'self' | 'cdn';

/** What a page may do, and how it ends. `{cdn}` stands for the origin of the other site. */
export interface Row {
  readonly name: string;
  readonly from: From;
  readonly script?: 'index.js' | 'inline.js';
  /** The model's weights come in one file, for which the worker imports dist/formats.js. */
  readonly singleFile?: true;
  readonly csp?: string;
  /** Of the page; `headers` of the frame instead where there is one. */
  readonly headers?: Headers;
  /** Of every other file of the page's site, its worker's script among them. */
  readonly files?: Headers;
  /** The page sits in a frame of this kind, on a page that sends `around`. */
  readonly frame?: {
    readonly attributes: string;
    readonly around?: Headers;
    readonly site?: 'other';
  };
  /** An error's code, and what its message must name; none where there must be a picture. */
  readonly error?: readonly [code: string, names: RegExp];
  /** More than one thread, or one. */
  readonly threads?: boolean;
  readonly notice?: RegExp;
  /** Where Firefox ends otherwise. */
  readonly firefox?: Partial<Row>;
}

const WASM = "'wasm-unsafe-eval'";
const COOP = { 'Cross-Origin-Opener-Policy': 'same-origin' };
const COEP = { 'Cross-Origin-Embedder-Policy': 'require-corp' };
const CORP = { 'Cross-Origin-Resource-Policy': 'cross-origin' };
const ISOLATED = { ...COOP, ...COEP };

/** Content-Security-Policy, with the SDK on another origin. */
const ACROSS: Row[] = [
  { name: 'no policy' },
  {
    name: 'scripts from the CDN, workers from blobs',
    csp: `script-src 'self' {cdn} ${WASM}; worker-src 'self' blob:`,
  },
  {
    name: 'workers from blobs and the CDN',
    csp: `script-src 'self' {cdn} ${WASM}; worker-src blob: {cdn}`,
  },
  {
    name: 'no worker-src',
    csp: `script-src 'self' {cdn} ${WASM}`,
    error: ['WORKER_FAILED', /worker-src .*blob:/],
  },
  { name: 'blobs among the scripts', csp: `script-src 'self' {cdn} blob: ${WASM}` },
  { name: 'nonce and strict-dynamic', csp: `script-src 'nonce-1' 'strict-dynamic' ${WASM}` },
  { name: 'workers forbidden', csp: `worker-src 'none'`, error: ['WORKER_FAILED', /worker-src/] },
  {
    name: 'workers of the own site only',
    csp: `worker-src 'self'`,
    error: ['WORKER_FAILED', /worker-src .*blob:/],
  },
  {
    name: 'requests to the own site only',
    csp: `connect-src 'self'`,
    error: ['NETWORK', /connect-src/],
  },
  {
    name: 'no WebAssembly',
    csp: `script-src 'self' {cdn}; worker-src blob:`,
    error: ['BACKEND_UNAVAILABLE', /script-src .*'wasm-unsafe-eval'/],
  },
  {
    name: 'Trusted Types with our policy',
    csp: `require-trusted-types-for 'script'; trusted-types stable-diffusion-web`,
  },
  {
    name: 'Trusted Types without our policy',
    csp: `require-trusted-types-for 'script'; trusted-types other`,
    error: ['WORKER_FAILED', /trusted-types stable-diffusion-web/],
  },
  {
    name: 'everything in one script, workers from blobs',
    script: 'inline.js',
    csp: `script-src 'self' {cdn} ${WASM}; worker-src blob:`,
  },
  {
    name: 'everything in one script, workers of the own site only',
    script: 'inline.js',
    csp: `worker-src 'self'`,
    error: ['WORKER_FAILED', /worker-src .*blob:/],
  },
  {
    name: 'a single file, scripts from the CDN',
    singleFile: true,
    csp: `script-src 'self' {cdn} ${WASM}; worker-src 'self' blob:`,
  },
  {
    name: 'a single file, of the CDN only the scripts that a folder needs',
    singleFile: true,
    csp: `script-src 'self' {cdn}/dist/index.js {cdn}/dist/worker.js ${WASM}; worker-src blob:`,
    error: ['NETWORK', /formats\.js .*script-src/],
  },
  {
    name: 'a folder, and those scripts',
    csp: `script-src 'self' {cdn}/dist/index.js {cdn}/dist/worker.js ${WASM}; worker-src blob:`,
  },
  {
    name: 'a single file, nonce and strict-dynamic',
    singleFile: true,
    csp: `script-src 'nonce-1' 'strict-dynamic' ${WASM}`,
  },
  {
    name: 'a single file, Trusted Types with our policy',
    singleFile: true,
    csp: `require-trusted-types-for 'script'; trusted-types stable-diffusion-web`,
  },
  {
    name: 'a single file, everything in one script',
    singleFile: true,
    script: 'inline.js',
    csp: `script-src 'self' {cdn}/dist/inline.js ${WASM}; worker-src blob:`,
  },
].map((row) => ({ from: 'cdn', ...row }) as Row);

/** Content-Security-Policy, with the SDK on the page's site. */
const OWN: Row[] = [
  { name: 'scripts of the own site and nothing else', csp: `script-src 'self' ${WASM}` },
  {
    name: 'the policy of the manual',
    csp: `default-src 'none'; script-src 'self' ${WASM}; worker-src 'self' blob:; connect-src 'self'; img-src blob:`,
  },
  {
    name: 'no WebAssembly on the page, but in the worker, which has a policy of its own',
    csp: `script-src 'self'`,
    files: { 'Content-Security-Policy': `script-src 'self' ${WASM}` },
  },
  {
    name: 'no WebAssembly at all',
    csp: `script-src 'self'`,
    files: { 'Content-Security-Policy': `script-src 'self'` },
    error: ['BACKEND_UNAVAILABLE', /script-src .*'wasm-unsafe-eval'/],
  },
  {
    name: 'Trusted Types with our policy',
    csp: `require-trusted-types-for 'script'; trusted-types stable-diffusion-web`,
    files: { 'Content-Security-Policy': `require-trusted-types-for 'script'` },
  },
  {
    name: 'workers forbidden',
    csp: `worker-src 'none'`,
    error: ['WORKER_FAILED', /worker-src 'self'/],
  },
  {
    name: 'a single file, scripts of the own site and nothing else',
    singleFile: true,
    csp: `script-src 'self' ${WASM}`,
    files: { 'Content-Security-Policy': `script-src 'self' ${WASM}` },
  },
  {
    name: 'a single file, a worker whose own policy lets it import nothing',
    singleFile: true,
    files: { 'Content-Security-Policy': `script-src ${WASM}` },
    error: ['NETWORK', /formats\.js .*script-src/],
  },
  {
    name: 'a single file, Trusted Types with our policy',
    singleFile: true,
    csp: `require-trusted-types-for 'script'; trusted-types stable-diffusion-web`,
    files: { 'Content-Security-Policy': `require-trusted-types-for 'script'` },
  },
].map((row) => ({ from: 'self', ...row }) as Row);

/** Cross-origin isolation, which threads need, and frames. */
const ISOLATION: Row[] = [
  { name: 'not isolated', from: 'self', threads: false },
  {
    name: 'COOP and COEP require-corp',
    from: 'self',
    ...{ headers: ISOLATED, files: COEP, threads: true },
  },
  {
    name: 'COEP require-corp, but the worker’s script does not send it',
    from: 'self',
    ...{ headers: ISOLATED, threads: true },
  },
  {
    name: 'COEP require-corp, the SDK from another site',
    from: 'cdn',
    ...{ headers: ISOLATED, threads: true },
  },
  {
    name: 'COEP credentialless',
    from: 'cdn',
    headers: { ...COOP, 'Cross-Origin-Embedder-Policy': 'credentialless' },
    threads: true,
  },
  {
    name: 'isolated, with Trusted Types',
    from: 'self',
    csp: `require-trusted-types-for 'script'; trusted-types stable-diffusion-web`,
    ...{ headers: ISOLATED, threads: true },
    files: {
      ...COEP,
      'Content-Security-Policy': `require-trusted-types-for 'script'; trusted-types stable-diffusion-web`,
    },
  },
  {
    name: 'Document-Isolation-Policy',
    from: 'cdn',
    headers: { 'Document-Isolation-Policy': 'isolate-and-require-corp' },
    threads: true,
    firefox: { threads: false },
  },
  {
    name: 'Document-Isolation-Policy in a frame of an unprepared site',
    from: 'cdn',
    headers: { 'Document-Isolation-Policy': 'isolate-and-require-corp' },
    frame: { attributes: '', site: 'other' },
    threads: true,
    firefox: { threads: false },
  },
  {
    name: 'a frame with COEP in an unprepared site',
    from: 'self',
    ...{ headers: COEP, files: COEP },
    frame: { attributes: '', site: 'other' },
    threads: false,
  },
  {
    name: 'a frame in an isolated site that allows isolation',
    from: 'self',
    ...{ headers: { ...COEP, ...CORP }, files: COEP },
    frame: { attributes: 'allow="cross-origin-isolated"', around: ISOLATED, site: 'other' },
    threads: true,
  },
  {
    name: 'a frame in an isolated site that does not',
    from: 'self',
    ...{ headers: { ...COEP, ...CORP }, files: COEP },
    frame: { attributes: '', around: ISOLATED, site: 'other' },
    threads: false,
    // Allowed unless it is forbidden.
    firefox: { threads: true },
  },
  { name: 'a credentialless frame', from: 'cdn', frame: { attributes: 'credentialless' } },
  {
    name: 'a sandboxed frame: an opaque origin, weights in memory',
    from: 'self',
    frame: { attributes: 'sandbox="allow-scripts"' },
    threads: false,
    notice: /stor|kept|keep/,
  },
  {
    name: 'a single file, COOP and COEP require-corp',
    from: 'self',
    singleFile: true,
    ...{ headers: ISOLATED, files: COEP, threads: true },
  },
  {
    name: 'a single file, COEP require-corp, the SDK from another site',
    from: 'cdn',
    singleFile: true,
    ...{ headers: ISOLATED, threads: true },
  },
  {
    name: 'a single file in a sandboxed frame',
    from: 'self',
    singleFile: true,
    frame: { attributes: 'sandbox="allow-scripts"' },
  },
  {
    name: 'a single file in a sandboxed frame, everything in one script',
    from: 'cdn',
    singleFile: true,
    script: 'inline.js',
    frame: { attributes: 'sandbox="allow-scripts"' },
  },
  {
    name: 'a sandboxed frame, everything in one script',
    from: 'cdn',
    script: 'inline.js',
    frame: { attributes: 'sandbox="allow-scripts"' },
  },
  {
    name: 'a sandboxed frame whose policy has no data:',
    from: 'cdn',
    csp: `script-src * ${WASM}; worker-src blob:`,
    frame: { attributes: 'sandbox="allow-scripts"' },
    error: ['WORKER_FAILED', /worker-src .*data:/],
    // Blobs start module workers there.
    firefox: { error: undefined },
  },
];

export const ROWS = { across: ACROSS, own: OWN, isolation: ISOLATION };
