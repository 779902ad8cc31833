// What `npm start` and `npm test` need first: the dependencies and a build that matches the sources.
// Uses nothing but Node, since it may run before `npm ci`.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const stamps = join(root, 'build', 'stamps');

function filesIn(path) {
  const full = join(root, path);
  if (!existsSync(full)) return [];
  try {
    return readdirSync(full, { withFileTypes: true })
      .sort((a, b) => (a.name < b.name ? -1 : 1))
      .flatMap((entry) =>
        entry.isDirectory() ? filesIn(join(path, entry.name)) : [join(path, entry.name)],
      );
  } catch {
    return [path]; // a file, not a folder
  }
}

/** Contents, not dates: a checkout gives every file a new date. */
function digest(paths) {
  const hash = createHash('sha256');
  for (const path of paths.flatMap(filesIn))
    hash.update(path).update(readFileSync(join(root, path)));
  return hash.digest('hex');
}

function run(command, args) {
  console.log(`> ${command} ${args.join(' ')}`);
  const { status, error } = spawnSync(command, args, {
    cwd: root,
    stdio: 'inherit',
    shell: process.platform === 'win32',
  });
  if (status !== 0) {
    console.error(error ? error.message : `${command} ${args.join(' ')} failed.`);
    process.exit(status || 1);
  }
}

/** Runs `work` unless it was done before with the same inputs and left its outputs. */
function once(name, inputs, outputs, work) {
  const stamp = join(stamps, name);
  const now = digest(inputs);
  const done = existsSync(stamp) && readFileSync(stamp, 'utf8') === now;
  if (done && outputs.every((path) => existsSync(join(root, path)))) return;
  rmSync(stamp, { force: true });
  work();
  mkdirSync(stamps, { recursive: true });
  writeFileSync(stamp, now);
}

const [major] = process.versions.node.split('.').map(Number);
if (major < 20) {
  console.error(`Node 20 or newer is needed; this is Node ${process.versions.node}.`);
  process.exit(1);
}

if (!existsSync(join(root, 'node_modules')))
  run('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error']);
once('wasm', ['wasm', 'package-lock.json'], ['build/wasm'], () =>
  run('npm', ['run', 'build:wasm']),
);
const sources = [
  'sdk',
  'kernels',
  'wasm',
  'rollup.config.mjs',
  'package.json',
  'package-lock.json',
];
once(
  'dist',
  sources,
  ['dist/index.js', 'dist/worker.js', 'dist/formats.js', 'dist/wasm', 'dist/index.d.ts'],
  () => run('npx', ['rollup', '-c', '--silent']),
);
