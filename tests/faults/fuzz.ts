// `node --import tsx tests/faults/fuzz.ts [inputs [seed [parser]]]`: changes sound weight files at random
// and reads them. Anything but a tensor or an SDError, a touched prototype, an input that takes longer
// than a second, or a tensor larger than its file ends the run. Default a million inputs per parser.
import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { isSDError } from '../../sdk/errors.ts';
import { openTensors } from '../../sdk/weights/open.ts';
import { parseHeader } from '../../sdk/weights/safetensors.ts';
import { MemorySource } from '../../sdk/weights/source.ts';
import { byteLength } from '../../sdk/weights/tensor.ts';
import { PickleEnds, unpickle } from '../../sdk/formats/torch/pickle.ts';
import { namedTensors, torchHooks } from '../../sdk/formats/torch/tensors.ts';
import { f32, randomInts, writeSafetensors } from '../unit/weights-helpers.ts';
import { pickleOf, storage, tensorCall, writeZip } from '../unit/weights-torch-writer.ts';
import { formats } from '../support/formats.ts';

type Parser = (file: Uint8Array<ArrayBuffer>) => void | Promise<void>;

const fixture = (path: string): Uint8Array<ArrayBuffer> =>
  new Uint8Array(
    gunzipSync(readFileSync(new URL(`../fixtures/checkpoints/${path}.gz`, import.meta.url))),
  );
const tensor = tensorCall({ storage: storage('0', 6), offset: 1, shape: [2, 2], strides: [2, 1] });
const pickle = pickleOf({ epoch: 1, global_step: 2 ** 40 }, [['w', tensor]]);
const zip = writeZip([
  { name: 'a/data.pkl', data: pickle },
  { name: 'a/byteorder', data: new TextEncoder().encode('little') },
  { name: 'a/data/0', data: new Uint8Array(24) },
]);
const safetensors = writeSafetensors(
  [
    ['a', f32([1, 2, 3, 4], [2, 2])],
    ['model.b', f32([5], [])],
  ],
  { format: 'pt' },
);

const readAll: Parser = async (file) => {
  const reader = await openTensors(new MemorySource(file, 'fuzz'), formats);
  for (const name of reader.names())
    if (byteLength(reader.info(name)!) > file.length) throw new Error(`${name} is larger than its file`); // prettier-ignore
  for await (const { name, bytes } of reader.tensors())
    if (bytes.length > file.length) throw new Error(`${name} is larger than its file`);
};

/** Sound inputs and what reads them. */
export const PARSERS: Readonly<
  Record<string, { seeds: Uint8Array<ArrayBuffer>[]; parse: Parser }>
> = {
  'safetensors header': {
    seeds: [safetensors, writeSafetensors([])],
    parse: (file) => void parseHeader(file, file.length),
  },
  pickle: {
    seeds: [pickle, fixture('plain.pkl')],
    parse: (file) => void namedTensors(unpickle(file, torchHooks).value),
  },
  'whole files': {
    seeds: [safetensors, zip, fixture('views.pt'), fixture('views-legacy.pt')],
    parse: readAll,
  },
};

/** Values that borders are made of. */
const EDGES = [0, 1, 0x7f, 0x80, 0xff];

function mutate(
  seeds: readonly Uint8Array<ArrayBuffer>[],
  next: () => number,
): Uint8Array<ArrayBuffer> {
  let bytes = seeds[next() % seeds.length].slice();
  for (let count = 1 + (next() % 4); count > 0; count--) {
    const at = next() % (bytes.length + 1);
    const length = 1 + (next() % 8);
    switch (next() % 6) {
      case 0:
        bytes[at] ^= 1 << (next() % 8);
        break;
      case 1:
        bytes.fill(EDGES[next() % EDGES.length], at, at + length);
        break;
      case 2:
        bytes[at] = next();
        break;
      case 3:
        bytes = bytes.slice(0, at);
        break;
      case 4: {
        // A piece of a seed somewhere else: opcodes and keys in the wrong place.
        const other = seeds[next() % seeds.length];
        const from = next() % other.length;
        bytes.set(other.subarray(from, from + Math.min(length * 4, bytes.length - at)), at);
        break;
      }
      default: {
        const grown = new Uint8Array(bytes.length + length);
        grown.set(bytes.subarray(0, at));
        grown.fill(next(), at, at + length);
        grown.set(bytes.subarray(at), at + length);
        bytes = grown;
      }
    }
  }
  return bytes;
}

/** @returns how many inputs were refused; throws with the input at the first that breaks a rule. */
export async function fuzz(name: string, inputs: number, seed: number): Promise<number> {
  const { seeds, parse } = PARSERS[name];
  const next = randomInts(seed);
  const prototype = Reflect.ownKeys(Object.prototype).length;
  let refused = 0;
  for (let i = 0; i < inputs; i++) {
    const file = mutate(seeds, next);
    const began = process.cpuUsage();
    try {
      await parse(file);
    } catch (error) {
      if (!isSDError(error) && !(error instanceof PickleEnds))
        throw new Error(`input ${i} of seed ${seed}: ${Buffer.from(file).toString('hex')}`, {
          cause: error,
        });
      refused++;
    }
    const { user, system } = process.cpuUsage(began);
    if (user + system > 1e6) throw new Error(`input ${i} of seed ${seed} took over a second`);
    if (Reflect.ownKeys(Object.prototype).length !== prototype)
      throw new Error(`input ${i} of seed ${seed} touched a prototype`);
  }
  return refused;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const inputs = Number(process.argv[2] ?? 1e6);
  const seed = Number(process.argv[3] ?? Date.now() % 1e9);
  const names = process.argv[4] === undefined ? Object.keys(PARSERS) : [process.argv[4]];
  for (const name of names) {
    const began = performance.now();
    const refused = await fuzz(name, inputs, seed);
    const seconds = (performance.now() - began) / 1000;
    const heap = Math.round(process.memoryUsage().heapUsed / 2 ** 20);
    console.log(`${name}: ${inputs} inputs, ${refused} refused, seed ${seed}, ${seconds.toFixed(1)} s, heap ${heap} MiB`); // prettier-ignore
  }
}
