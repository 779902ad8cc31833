import { spawnSync } from 'node:child_process';
import {
  cpSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, '../..');
const windows = process.platform === 'win32';

/** Runs a command and gives what it printed; with what it printed, it throws. */
export function run(cwd: string, command: string, ...args: string[]): string {
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    cwd,
    encoding: 'utf8',
    shell: windows,
    env: { ...process.env, NEXT_TELEMETRY_DISABLED: '1', CI: '1' },
  });
  if (status !== 0)
    throw new Error(`${command} ${args.join(' ')}\n${stdout}${stderr}${error?.message ?? ''}`);
  return stdout;
}

export interface Packed {
  readonly filename: string;
  readonly size: number;
  readonly unpackedSize: number;
  readonly files: readonly { readonly path: string; readonly size: number }[];
}

/** What `npm publish` would send, and the tarball's path. */
export function pack(): Packed & { readonly path: string } {
  const folder = join(tmpdir(), 'stable-diffusion-web-packed');
  mkdirSync(folder, { recursive: true });
  const told = run(root, 'npm', 'pack', '--json', '--ignore-scripts', '--pack-destination', folder);
  const [packed] = JSON.parse(told) as Packed[];
  return { ...packed, path: join(folder, packed.filename) };
}

/**
 * A project outside of this repository, so that nothing of it is found by accident: this folder, its
 * dependencies, and the package from its tarball. Kept from run to run while the lock file stays.
 */
export function project(tarball: string): string {
  const folder = join(tmpdir(), 'stable-diffusion-web-matrix');
  mkdirSync(folder, { recursive: true });
  for (const name of readdirSync(folder))
    if (name !== 'node_modules' && name !== 'installed')
      rmSync(join(folder, name), { recursive: true });
  cpSync(here, folder, { recursive: true });
  const lock = readFileSync(join(here, 'package-lock.json'), 'utf8');
  const stamp = join(folder, 'installed');
  if (!statSync(stamp, { throwIfNoEntry: false }) || readFileSync(stamp, 'utf8') !== lock) {
    // Not `npm ci`: it refuses a lock file without the binaries of other platforms than this one,
    // and not every registry has all of them.
    run(folder, 'npm', 'install', '--no-audit', '--no-fund', '--loglevel=error');
    writeFileSync(stamp, lock);
  }
  const own = join(folder, 'node_modules/stable-diffusion-web');
  rmSync(own, { recursive: true, force: true });
  mkdirSync(own, { recursive: true });
  run(folder, 'tar', '-xzf', tarball, '-C', own, '--strip-components=1');
  // A bundler that remembers would test an older tarball.
  for (const cache of ['node_modules/.vite', 'node_modules/.cache', '.parcel-cache', 'next/.next'])
    rmSync(join(folder, cache), { recursive: true, force: true });
  return folder;
}
