import assert from 'node:assert/strict';
import { test } from 'node:test';
import { headerLength, MAX_HEADER_BYTES, parseHeader } from '../../sdk/weights/safetensors.ts';
import { SafetensorsReader } from '../../sdk/weights/safetensors-reader.ts';
import { MemorySource, type ByteSource } from '../../sdk/weights/source.ts';
import {
  concat,
  f32,
  fails,
  readOne,
  safetensorsFile,
  writeSafetensors,
} from './weights-helpers.ts';

const parse = (file: Uint8Array): ReturnType<typeof parseHeader> => parseHeader(file, file.length);
const tensor = (dtype: string, shape: string, offsets: string): string =>
  `{"dtype":"${dtype}","shape":${shape},"data_offsets":${offsets}}`;

test('reads names, shapes, offsets and metadata', () => {
  const file = writeSafetensors(
    [
      ['a', f32([1, 2, 3, 4, 5, 6], [2, 3])],
      ['empty', f32([], [0, 7])],
      ['scalar', f32([9], [])],
    ],
    { format: 'pt' },
  );
  const { tensors, metadata, fileSize } = parse(file);
  const start = 8 + headerLength(file);
  assert.deepEqual([...tensors.keys()], ['a', 'empty', 'scalar']);
  assert.deepEqual(tensors.get('a'), {
    dtype: 'F32',
    shape: [2, 3],
    begin: start,
    end: start + 24,
  });
  assert.deepEqual(tensors.get('empty')!.shape, [0, 7]);
  assert.deepEqual(tensors.get('scalar')!.shape, []);
  assert.equal(metadata.get('format'), 'pt');
  assert.equal(fileSize, file.length);
});

test('gives tensors in the order of their data, whatever the order of names', () => {
  const header = `{"b":${tensor('F32', '[1]', '[4,8]')},"a":${tensor('F32', '[1]', '[0,4]')}}`;
  const { tensors } = parse(safetensorsFile(header, new Uint8Array(8)));
  assert.deepEqual([...tensors.keys()], ['a', 'b']);
});

test('names that would reach a prototype are plain names', () => {
  const header = `{"__proto__":${tensor('F32', '[1]', '[0,4]')},"constructor":${tensor('U8', '[0]', '[4,4]')}}`;
  const { tensors } = parse(safetensorsFile(header, new Uint8Array(4)));
  assert.deepEqual([...tensors.keys()].sort(), ['__proto__', 'constructor']);
  assert.equal(({} as Record<string, unknown>).dtype, undefined);
});

test('knows every dtype of the format', () => {
  for (const [dtype, bytes] of [
    ['F64', 16],
    ['F16', 4],
    ['BF16', 4],
    ['F8_E4M3', 2],
    ['F8_E5M2', 2],
    ['F8_E8M0', 2],
    ['F4', 1],
    ['I64', 16],
    ['U8', 2],
    ['BOOL', 2],
    ['C64', 16],
  ] as const) {
    const header = `{"t":${tensor(dtype, '[2]', `[0,${bytes}]`)}}`;
    assert.equal(
      parse(safetensorsFile(header, new Uint8Array(bytes))).tensors.get('t')!.dtype,
      dtype,
    );
  }
});

const one = (entry: string): Uint8Array => safetensorsFile(`{"t":${entry}}`, new Uint8Array(4));
const lengthOf = (low: number, high: number): Uint8Array => {
  const bytes = new Uint8Array(64);
  new DataView(bytes.buffer).setUint32(0, low, true);
  new DataView(bytes.buffer).setUint32(4, high, true);
  return bytes;
};

const refused: [string, Uint8Array, RegExp][] = [
  ['an empty file', new Uint8Array(0), /shorter than 8 bytes/],
  ['seven bytes', new Uint8Array(7), /shorter than 8 bytes/],
  ['a header of no length', lengthOf(0, 0), /header is empty/],
  ['a header beyond the limit', lengthOf(MAX_HEADER_BYTES + 1, 0), /at most/],
  ['a header length past 2^53', lengthOf(0xffffffff, 0xffffffff), /at most/],
  ['a header past the end', lengthOf(1000, 0), /runs past the end/],
  ['a header that is no object', safetensorsFile('[]'), /does not begin with \{/],
  ['a header after a space', safetensorsFile(' {}'), /does not begin with \{/],
  ['bytes that are not UTF-8', corrupt(safetensorsFile('{"abcd":1}'), 11, 0xff), /not UTF-8/],
  ['a cut header', safetensorsFile('{"t":{"dtype"'), /not valid JSON/],
  ['text after the header', safetensorsFile('{} {}'), /text after the end/],
  ['a NUL after the header', safetensorsFile('{}\0'), /text after the end/],
  ['nesting', safetensorsFile(`{"t":${'['.repeat(100000)}`), /nested too deeply/],
  ['a leading zero', one(tensor('F32', '[01]', '[0,4]')), /not valid JSON/],
  ['a control character', safetensorsFile('{"a\nb":1}'), /control character/],
  ['a bad escape', safetensorsFile('{"a\\x":1}'), /bad escape/],
  [
    'two tensors of one name',
    safetensorsFile(
      `{"t":${tensor('F32', '[1]', '[0,4]')},"t":${tensor('F32', '[1]', '[4,8]')}}`,
      new Uint8Array(8),
    ),
    /duplicate key "t"/,
  ],
  [
    'two tensors of one name, one of them escaped',
    safetensorsFile(
      `{"t":${tensor('F32', '[1]', '[0,4]')},"\\u0074":${tensor('F32', '[1]', '[4,8]')}}`,
      new Uint8Array(8),
    ),
    /duplicate key/,
  ],
  [
    'a key twice in a tensor',
    one('{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}'),
    /duplicate key "dtype"/,
  ],
  ['a tensor that is a number', one('4'), /not described by an object/],
  ['no dtype', one('{"shape":[1],"data_offsets":[0,4]}'), /unknown dtype/],
  ['an unknown dtype', one(tensor('F31', '[1]', '[0,4]')), /unknown dtype "F31"/],
  ['a dtype of Object.prototype', one(tensor('toString', '[1]', '[0,4]')), /unknown dtype/],
  ['no shape', one('{"dtype":"F32","data_offsets":[0,4]}'), /no valid shape/],
  ['a negative dimension', one(tensor('F32', '[-1]', '[0,4]')), /no valid shape/],
  ['half a dimension', one(tensor('F32', '[1.5]', '[0,4]')), /no valid shape/],
  ['a dimension past 2^53', one(tensor('F32', '[9007199254740993]', '[0,4]')), /no valid shape/],
  ['too many dimensions', one(tensor('F32', `[${'1,'.repeat(99)}1]`, '[0,4]')), /no valid shape/],
  [
    'a shape whose product overflows to 0',
    one(tensor('F32', '[4294967296,4294967296]', '[0,0]')),
    /overflows/,
  ],
  ['no offsets', one('{"dtype":"F32","shape":[1]}'), /no valid data_offsets/],
  ['three offsets', one(tensor('F32', '[1]', '[0,4,8]')), /no valid data_offsets/],
  ['a negative offset', one(tensor('F32', '[1]', '[-4,0]')), /no valid data_offsets/],
  ['offsets the wrong way', one(tensor('F32', '[1]', '[4,0]')), /ends before it begins/],
  ['offsets that disagree with the shape', one(tensor('F32', '[2]', '[0,4]')), /needs 8 bytes/],
  ['half a byte', one(tensor('F4', '[3]', '[0,1]')), /whole byte/],
  [
    'a first tensor that does not start at 0',
    safetensorsFile(`{"t":${tensor('F32', '[1]', '[4,8]')}}`, new Uint8Array(8)),
    /gap before tensor "t"/,
  ],
  [
    'overlapping tensors',
    safetensorsFile(
      `{"a":${tensor('F32', '[2]', '[0,8]')},"b":${tensor('F32', '[2]', '[4,12]')}}`,
      new Uint8Array(12),
    ),
    /"b" overlaps/,
  ],
  ['a cut file', one(tensor('F32', '[2]', '[0,8]')), /cut off/],
  ['bytes after the last tensor', one(tensor('F32', '[0]', '[0,0]')), /4 bytes follow/],
  ['metadata that is a list', safetensorsFile('{"__metadata__":[]}'), /__metadata__ is not/],
  ['metadata that is a number', safetensorsFile('{"__metadata__":{"a":1}}'), /"a" is not a string/],
  ['too many tensors', manyTensors(70000), /more than 65536 tensors/],
];

for (const [what, file, reason] of refused)
  test(`refuses ${what}`, () => assert.throws(() => parse(file), fails('INVALID_FILE', reason)));

test('refuses a long list of items before keeping it', () => {
  const file = safetensorsFile(`{"t":[${'0,'.repeat(2_000_000)}0]}`);
  assert.throws(() => parse(file), fails('INVALID_FILE', /too many items/));
});

test('a header that lies about its length allocates nothing', async () => {
  const source = new MemorySource(lengthOf(MAX_HEADER_BYTES, 0));
  await assert.rejects(SafetensorsReader.open(source), fails('INVALID_FILE', /runs past the end/));
});

test('the reader gives tensors in file order and skips what is not wanted', async () => {
  const file = writeSafetensors([
    ['x', f32([1, 2], [2])],
    ['y', f32([3], [1])],
    ['z', f32([4, 5, 6], [3])],
  ]);
  // Chunks of 5 bytes never end where a tensor does.
  const source: ByteSource = {
    name: 'odd chunks',
    seekable: true,
    size: async () => file.length,
    read: async (begin, end) => file.slice(begin, end),
    async *stream(begin = 0) {
      for (let at = begin; at < file.length; at += 5) yield file.subarray(at, at + 5);
    },
  };
  const reader = await SafetensorsReader.open(source);
  const seen: [string, number[]][] = [];
  let bytes = 0;
  for await (const t of reader.tensors(['z', 'x'], { onBytes: (n) => (bytes += n) }))
    seen.push([t.name, [...new Float32Array(t.bytes.buffer)]]);
  assert.deepEqual(seen, [
    ['x', [1, 2]],
    ['z', [4, 5, 6]],
  ]);
  assert.equal(bytes, 20);
  assert.deepEqual([...new Float32Array((await readOne(reader, 'y')).bytes.buffer)], [3]);
  await assert.rejects(readOne(reader, 'w'), fails('INVALID_FILE', /no tensor "w"/));
});

test('tensors that are not aligned in the file come aligned', async () => {
  const text = new TextEncoder().encode(`{"t":${tensor('F32', '[1]', '[0,4]')}}`);
  assert.notEqual((8 + text.length) % 4, 0);
  const length = new Uint8Array(8);
  length[0] = text.length;
  const file = concat([length, text, f32([7], [1]).bytes]);
  const reader = await SafetensorsReader.open(new MemorySource(file));
  assert.equal(new Float32Array((await readOne(reader, 't')).bytes.buffer)[0], 7);
});

function corrupt(file: Uint8Array, at: number, byte: number): Uint8Array {
  file[at] = byte;
  return file;
}

function manyTensors(count: number): Uint8Array {
  const entries = Array.from({ length: count }, (_, i) => `"${i}":${tensor('U8', '[0]', '[0,0]')}`);
  return safetensorsFile(`{${entries.join(',')}}`);
}
