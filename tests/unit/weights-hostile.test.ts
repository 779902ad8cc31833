import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SDError } from '../../sdk/errors.ts';
import { openTensors } from '../../sdk/weights/open.ts';
import { MemorySource } from '../../sdk/weights/source.ts';
import { PickleEnds, unpickle, type PickleHooks } from '../../sdk/formats/torch/pickle.ts';
import { PyStub, type PyValue } from '../../sdk/formats/torch/python.ts';
import { torchHooks } from '../../sdk/formats/torch/tensors.ts';
import { TorchReader } from '../../sdk/formats/torch/reader.ts';
import { fails, readOne } from './weights-helpers.ts';
import { pickleOf, storage, tensorCall, writeZip, type ZipMember } from './weights-torch-writer.ts';
import { formats } from '../support/formats.ts';

const bytes = (...codes: number[]): Uint8Array => Uint8Array.from(codes);
const text = (value: string): Uint8Array => new TextEncoder().encode(value);
const run = (data: Uint8Array, hooks: PickleHooks = torchHooks): PyValue =>
  unpickle(data, hooks).value;

test('globals are never looked up: a call of any of them makes an inert stub', () => {
  for (const name of ['os\nsystem', 'builtins\neval', '__proto__\nconstructor', 'posix\nsystem']) {
    const value = run(Buffer.concat([text(`c${name}\n`), bytes(0x8c, 2), text('ls'), bytes(0x85, 0x52, 0x2e)])); // prettier-ignore
    assert.ok(value instanceof PyStub);
    assert.equal(value.state, null);
  }
});

test('keys become entries of a Map, never properties', () => {
  const value = run(pickleOf({ __proto__x: 1, constructor: 2 }, [['__proto__', 3]]));
  assert.ok(value instanceof Map);
  assert.equal(value.get('__proto__'), 3);
  assert.equal(({} as Record<string, unknown>).constructor, Object);
});

const refusedPickles: [string, Uint8Array, RegExp][] = [
  ['an unknown opcode', bytes(0xff), /opcode 0xff/],
  ['protocol 0 objects (INST)', text('(ios\nsystem\n.'), /opcode 0x69/],
  ['OBJ', bytes(0x28, 0x4e, 0x6f, 0x2e), /opcode 0x6f/],
  ['extension codes', bytes(0x82, 1, 0x2e), /opcode 0x82/],
  ['persistent ids as text', text('Pid\n.'), /opcode 0x50/],
  ['out-of-band buffers', bytes(0x97, 0x2e), /opcode 0x97/],
  ['a protocol of the future', bytes(0x80, 6, 0x2e), /protocol after 5/],
  ['popping from nothing', bytes(0x30), /empty stack/],
  ['a stop with nothing made', bytes(0x2e), /empty stack/],
  ['a stop at a mark', bytes(0x28, 0x2e), /empty stack/],
  ['a tuple without a mark', bytes(0x74, 0x2e), /no mark/],
  ['a memo entry that is not there', bytes(0x68, 9, 0x2e), /reference to nothing/],
  ['items for a number', bytes(0x4b, 1, 0x4b, 2, 0x61, 0x2e), /no list/],
  ['pairs for a number', bytes(0x4b, 1, 0x4b, 2, 0x4b, 3, 0x73, 0x2e), /no dictionary/],
  ['a key without a value', bytes(0x7d, 0x28, 0x4b, 1, 0x75, 0x2e), /key without a value/],
  ['a call without a tuple', bytes(0x4e, 0x4e, 0x52), /without arguments/],
  ['a global named by numbers', bytes(0x4b, 1, 0x4b, 2, 0x93), /without a name/],
  ['a number of a thousand digits', bytes(0x8a, 200, ...new Array(200).fill(1)), /too many digits/],
  ['a text that is no number', text('Ix\n.'), /number that is none/],
  ['a line without an end', text(`c${'a'.repeat(3000)}`), /line without an end/],
  ['text that is not UTF-8', bytes(0x8c, 1, 0xff, 0x2e), /not UTF-8/],
  ['a foreign persistent id', bytes(0x4b, 1, 0x51), /foreign id/],
];
for (const [what, data, reason] of refusedPickles)
  test(`refuses a pickle with ${what}`, () =>
    assert.throws(() => run(data), fails('INVALID_FILE', reason)));

test('lengths beyond the pickle end it before anything is made', () => {
  for (const head of [
    bytes(0x58, 0xff, 0xff, 0xff, 0xff),
    bytes(0x8d, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f),
    bytes(0x8e, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x1f, 0),
    bytes(0x42, 0xff, 0xff, 0xff, 0x7f),
    bytes(0x80),
    bytes(),
  ])
    assert.throws(() => run(head), PickleEnds);
});

/** A checkpoint with one tensor made by these arguments, over a storage of four floats. */
function checkpoint(args: Parameters<typeof tensorCall>[0], data = new Uint8Array(16)): Uint8Array {
  return writeZip([
    { name: 'archive/data.pkl', data: pickleOf({}, [['w', tensorCall(args)]]) },
    { name: 'archive/data/0', data },
  ]);
}
const open = (file: Uint8Array): Promise<unknown> =>
  openTensors(new MemorySource(file, 'x.ckpt'), formats);

test('a sound checkpoint opens (so that the refusals below mean something)', async () => {
  const file = checkpoint({ storage: storage('0', 4), offset: 0, shape: [2, 2], strides: [2, 1] });
  const reader = await TorchReader.open(new MemorySource(file));
  assert.equal((await readOne(reader, 'w')).bytes.length, 16);
});

const good = { storage: storage('0', 4), offset: 0, shape: [2, 2], strides: [2, 1] };
const refusedTensors: [string, Uint8Array, RegExp][] = [
  ['offsets past its storage', checkpoint({ ...good, offset: 1 }), /beyond its storage/],
  ['strides past its storage', checkpoint({ ...good, strides: [4, 1] }), /beyond its storage/],
  [
    'a shape that swells by strides of 0',
    checkpoint({ ...good, shape: [1e9, 1e6], strides: [0, 0] }),
    /larger than its storage/,
  ],
  ['shape and strides of two lengths', checkpoint({ ...good, strides: [1] }), /without a shape/],
  ['a negative dimension', checkpoint({ ...good, shape: [-2, 2] }), /without a shape/],
  [
    'a storage that is not in the file',
    checkpoint({ ...good, storage: storage('1', 4) }),
    /no data/,
  ],
  ['a storage longer than its data', checkpoint(good, new Uint8Array(12)), /no data for "w"/],
  [
    'a storage of a type that does not exist',
    checkpoint({ ...good, storage: storage('0', 4, 'EvilStorage') }),
    /unknown type torch\.EvilStorage/,
  ],
  [
    'a storage of 2^60 elements',
    checkpoint({ ...good, storage: storage('0', 2 ** 31 - 1), shape: [2, 2] }),
    /no data/,
  ],
];
for (const [what, file, reason] of refusedTensors)
  test(`refuses a tensor with ${what}`, () =>
    assert.rejects(open(file), fails('INVALID_FILE', reason)));

const pkl: ZipMember = { name: 'a/data.pkl', data: pickleOf({}, []) };
const edit = (file: Uint8Array, at: number, ...codes: number[]): Uint8Array => {
  const copy = file.slice();
  copy.set(codes, at < 0 ? copy.length + at : at);
  return copy;
};
const refusedZips: [string, Uint8Array, RegExp][] = [
  ['no data.pkl', writeZip([{ name: 'a/other', data: bytes(1) }]), /no data\.pkl/],
  ['its end cut off', writeZip([pkl]).slice(0, -5), /cut off/],
  ['more members than it lists', edit(writeZip([pkl]), -12, 9, 0), /directory is cut off/],
  ['a directory past its end', edit(writeZip([pkl]), -6, 0xff, 0xff, 0xff, 0x7f), /past its end/],
  ['zip64 marks and no zip64 record', edit(writeZip([pkl]), -6, 0xff, 0xff, 0xff, 0xff), /zip64/],
  ['two members of one name', writeZip([pkl, pkl]), /two members named/],
  ['a member past its end', writeZip([{ ...pkl, size: 1e6 }]), /runs past its end/],
  ['a pickle that is cut off', writeZip([{ ...pkl, data: bytes(0x80, 2, 0x7d) }]), /cut off/],
];
for (const [what, file, reason] of refusedZips)
  test(`refuses a zip with ${what}`, () =>
    assert.rejects(open(file), fails('INVALID_FILE', reason)));

test('refuses compressed members and big-endian checkpoints', async () => {
  await assert.rejects(
    open(writeZip([{ ...pkl, method: 8 }])),
    fails('UNSUPPORTED_FORMAT', /compressed/),
  );
  await assert.rejects(
    open(writeZip([pkl, { name: 'a/byteorder', data: text('big') }])),
    fails('UNSUPPORTED_FORMAT', /big-endian/),
  );
});

test('a dictionary that holds itself, or one other a thousand times, ends', async () => {
  // d = {}; d['a'] = d
  const ring = bytes(0x80, 2, 0x7d, 0x71, 0, 0x58, 1, 0, 0, 0, 0x61, 0x68, 0, 0x73, 0x2e);
  const reader = await TorchReader.open(new MemorySource(writeZip([{ ...pkl, data: ring }])));
  assert.deepEqual([...reader.names()], []);
  await assert.rejects(
    open(writeZip([{ ...pkl, data: nested(80, 5) }])),
    (error: SDError) => error.code === 'INVALID_FILE' && /entries/.test(error.message),
  );
});

/** `depth` dictionaries, each with `width` times the one before. */
function nested(width: number, depth: number): Uint8Array {
  const parts: number[] = [0x80, 2, 0x7d, 0x71, 0];
  for (let level = 1; level <= depth; level++) {
    parts.push(0x7d, 0x71, level, 0x28);
    for (let i = 0; i < width; i++) parts.push(0x58, 2, 0, 0, 0, 0x61, 0x20 + i, 0x68, level - 1);
    parts.push(0x75);
  }
  return Uint8Array.from([...parts, 0x2e]);
}
