import assert from 'node:assert/strict';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { test } from 'node:test';

// Who may import whom: ARCHITECTURE.md draws this. A room is a folder of sdk/, or a file at its top.

/** Leaves: any room may import them, and they import leaves only. */
const LEAVES = [
  'errors',
  'options',
  'progress',
  'image',
  'version',
  'checks',
  'inspect',
  'small-floats',
];

const MAY_IMPORT: Record<string, readonly string[]> = {
  graph: [],
  samplers: ['random'],
  random: [],
  tokenizer: [],
  models: ['graph'],
  'backends/backend': ['graph'],
  'backends/reference': ['graph', 'backends/backend'],
  'backends/wasm': ['graph', 'backends/backend', 'wasm'],
  'backends/webgpu': ['graph', 'backends/backend', 'kernels'],
  weights: ['graph', 'models', 'backends/backend'],
  formats: ['weights', 'graph', 'backends/backend', 'tokenizer'],
  cache: ['weights'],
  pipeline: ['models', 'samplers', 'random', 'tokenizer', 'graph', 'backends/backend'],
  // The page: the handle and what it needs, and of the worker's room only its outer half.
  page: ['worker/page', 'cache'],
  'worker/page': ['page'],
  'worker/inside': [
    ...['worker/page', 'pipeline', 'weights', 'cache', 'tokenizer', 'graph'],
    ...['backends/backend', 'backends/wasm', 'backends/webgpu'],
  ],
  // The one place that brings the formats along instead of fetching them.
  'worker/inline': ['formats', 'weights'],
};

/** Of which rooms each names types; those of the engines' interface and of the graph all may. */
const TYPES_FOR: Record<string, readonly string[]> = {
  formats: ['pipeline', 'cache', 'tokenizer'],
  weights: ['formats'],
  'worker/inside': ['formats'],
};

/** Of sdk/worker: what runs on the page, or on both sides. */
const WORKER_PAGE = [
  ...['protocol', 'remote', 'errors', 'spawn', 'ladder', 'start', 'assets', 'inline'],
];

function roomOf(path: string): string {
  if (path === 'sdk/worker/inline/formats.ts') return 'worker/inline';
  if (path.startsWith('wasm/')) return 'wasm';
  if (path.startsWith('kernels/')) return 'kernels';
  const [, first, second] = path.replace(/\.ts$/, '').split('/');
  if (first === 'backends') return `backends/${second}`;
  if (first === 'worker') return WORKER_PAGE.includes(second) ? 'worker/page' : 'worker/inside';
  if (existsSync(join('sdk', first))) return ['element', 'react'].includes(first) ? 'page' : first;
  return LEAVES.includes(first) ? 'leaf' : 'page';
}

interface Import {
  readonly from: string;
  readonly to: string;
  /** Erased by the compiler: no code of the other room comes along. */
  readonly typeOnly: boolean;
}

function importsOf(path: string): Import[] {
  const text = readFileSync(path, 'utf8');
  const pattern = /^(import|export)\s+(type\s)?[^'";]*?from\s+'(\.[^']+)'/gms;
  const dynamic = /import\(\s*'(\.[^']+)'\s*\)/g;
  const target = (specifier: string) => normalize(join(dirname(path), specifier));
  return [
    ...[...text.matchAll(pattern)].map((match) => ({
      from: path,
      to: target(match[3]),
      typeOnly: match[2] !== undefined,
    })),
    ...[...text.matchAll(dynamic)].map((match) => ({
      from: path,
      to: target(match[1]),
      typeOnly: false,
    })),
  ];
}

const files = readdirSync('sdk', { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile() && /\.tsx?$/.test(entry.name))
  .map((entry) => join(entry.parentPath ?? entry.path, entry.name));
const imports = files.flatMap(importsOf);

test('rooms import only those that they may', () => {
  assert.ok(files.length > 50 && imports.length > 100, 'the sources were found');
  const broken = imports.filter(({ from, to, typeOnly }) => {
    const [room, other] = [roomOf(from), roomOf(to)];
    if (room === other || other === 'leaf') return false;
    // Leaves name types of one another and nothing else.
    if (room === 'leaf') return true;
    const allowed = MAY_IMPORT[room];
    assert.ok(allowed, `${from} is in no known room`);
    const types = typeOnly ? ['backends/backend', 'graph', ...(TYPES_FOR[room] ?? [])] : [];
    return ![...allowed, ...types].includes(other);
  });
  assert.deepEqual(
    broken.map(({ from, to }) => `${from} imports ${to}`),
    [],
  );
});

/** The rooms whose code comes along with a file. */
function roomsBehind(entry: string): string[] {
  const reached = new Set<string>();
  const visit = (path: string): void => {
    if (reached.has(path)) return;
    reached.add(path);
    for (const { from, to, typeOnly } of imports) if (from === path && !typeOnly) visit(to);
  };
  visit(entry);
  return [...new Set([...reached].map(roomOf))].sort();
}

test('the page never reaches the code behind the worker', () => {
  // The cache alone: listing and deleting stored models needs no worker.
  assert.deepEqual(roomsBehind('sdk/index.ts'), ['cache', 'leaf', 'page', 'worker/page']);
});

test('the worker never reaches the formats, nor they what makes pictures', () => {
  const inWorker = roomsBehind('sdk/worker/worker.ts');
  assert.ok(inWorker.includes('pipeline') && !inWorker.includes('formats'), inWorker.join());
  assert.deepEqual(roomsBehind('sdk/formats/index.ts'), [
    ...['backends/backend', 'formats', 'graph', 'leaf', 'tokenizer', 'weights'],
  ]);
});

test('no two files import each other, however far around', () => {
  const code = new Map<string, string[]>();
  for (const { from, to, typeOnly } of imports)
    if (!typeOnly) code.set(from, [...(code.get(from) ?? []), to]);
  const done = new Set<string>();
  const rings: string[] = [];
  const visit = (path: string, trail: string[]): void => {
    if (trail.includes(path)) rings.push([...trail.slice(trail.indexOf(path)), path].join(' → '));
    if (done.has(path) || trail.includes(path)) return;
    for (const next of code.get(path) ?? []) visit(next, [...trail, path]);
    done.add(path);
  };
  for (const path of files) visit(path, []);
  assert.deepEqual(rings, []);
});
