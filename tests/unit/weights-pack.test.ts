import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PackedParam, WeightDtype } from '../../sdk/backends/backend.ts';
import { float32ToFloat16, smallToFloat32 } from '../../sdk/small-floats.ts';
import { packedLength, packTensor, unpackTensor, type Values } from '../../sdk/weights/pack.ts';
import { randomFloats } from './weights-helpers.ts';

const packMatrix = (values: Values, shape: readonly number[], dtype: WeightDtype): PackedParam =>
  packTensor({ name: 'w', kind: 'matrix', shape }, values, dtype);
const floats = ({ data }: PackedParam): Float32Array => new Float32Array(data.buffer);

test('a linear weight lies in panels of eight columns', () => {
  const shape = [10, 3];
  const data = Float32Array.from({ length: 30 }, (_, i) => i + 1);
  const packed = floats(packMatrix(data, shape, 'f32'));
  assert.equal(packed.length, 2 * 3 * 8);
  for (let n = 0; n < 16; n++)
    for (let k = 0; k < 3; k++) {
      const at = (Math.floor(n / 8) * 3 + k) * 8 + (n % 8);
      assert.equal(packed[at], n < 10 ? data[n * 3 + k] : 0, `column ${n}, row ${k}`);
    }
});

test('the depth of a convolution runs over kh, kw, then channels', () => {
  const [n, c, kh, kw] = [9, 5, 3, 2];
  const data = Float32Array.from({ length: n * c * kh * kw }, (_, i) => i + 1);
  const packed = floats(packMatrix(data, [n, c, kh, kw], 'f32'));
  const depth = c * kh * kw;
  for (let o = 0; o < n; o++)
    for (let i = 0; i < c; i++)
      for (let y = 0; y < kh; y++)
        for (let x = 0; x < kw; x++) {
          const k = (y * kw + x) * c + i;
          const at = (Math.floor(o / 8) * depth + k) * 8 + (o % 8);
          assert.equal(packed[at], data[((o * c + i) * kh + y) * kw + x]);
        }
});

for (const shape of [
  [1, 1],
  [7, 3],
  [8, 8],
  [17, 5, 3, 3],
  [9, 33],
  [8, 96],
  [320, 4, 3, 3],
  [4, 320, 1, 1],
])
  test(`unpacking gives back what was packed: [${shape}]`, () => {
    const data = randomFloats(
      shape.reduce((a, b) => a * b),
      7,
    );
    assert.deepEqual(unpackTensor(packMatrix(data, shape, 'f32')), data);

    const half = float32ToFloat16(data);
    const rounded = smallToFloat32(half, 'F16');
    assert.deepEqual(unpackTensor(packMatrix(data, shape, 'f16')), rounded);
    assert.deepEqual(packMatrix(half, shape, 'f16'), packMatrix(data, shape, 'f16'));
    assert.deepEqual(packMatrix(half, shape, 'f32'), packMatrix(rounded, shape, 'f32'));
  });

for (const shape of [
  [1, 1],
  [17, 5, 3, 3],
  [9, 65],
  [8, 192],
])
  test(`int8 has a scale for each column of each 64 rows: [${shape}]`, () => {
    const [n, channels, ...kernel] = shape;
    const taps = kernel.reduce((a, b) => a * b, 1);
    const depth = channels * taps;
    const blocks = Math.ceil(depth / 64);
    // Rows of very different size: one scale for all would lose the small ones.
    const data = randomFloats(n * depth, 7).map((x, i) => x * 10 ** -((i % depth) % 4));
    const packed = packMatrix(data, shape, 'i8');
    assert.equal(packed.data.length, packedLength(shape));
    assert.equal(packed.scales!.length, Math.ceil(n / 8) * blocks * 8);
    const scales = smallToFloat32(packed.scales!, 'F16');
    const unpacked = unpackTensor(packed);
    const largest = new Float32Array(scales.length);
    for (let row = 0; row < n; row++)
      for (let c = 0; c < channels; c++)
        for (let s = 0; s < taps; s++) {
          const i = row * depth + c * taps + s;
          const block = Math.floor((s * channels + c) / 64);
          const at = (Math.floor(row / 8) * blocks + block) * 8 + (row % 8);
          largest[at] = Math.max(largest[at], Math.abs(data[i]));
          const error = Math.abs(unpacked[i] - data[i]);
          assert.ok(error <= (scales[at] / 128) * 0.57, `${unpacked[i]} for ${data[i]}`);
        }
    scales.forEach((scale, i) =>
      assert.ok(Math.abs(scale - (largest[i] * 128) / 127) <= scale / 2048, `scale ${i}`),
    );
  });

test('int8 rounds ties to even, takes zeros, and keeps what is not a number', () => {
  const data = Float32Array.of(127, 0.5, 1.5, -2.5, 0, 0, 0, 0, NaN, 1, 1, 1);
  const packed = packMatrix(data, [3, 4], 'i8');
  assert.deepEqual([...unpackTensor(packed).subarray(0, 8)], [127, 0, 2, -2, 0, 0, 0, 0]);
  assert.equal(packed.scales![1], 0);
  assert.ok(Number.isNaN(unpackTensor(packed)[8]));
});

test('vectors stay f32; tables are rows as they are', () => {
  const data = Float32Array.of(1.0001, 2, 3, 4);
  const half = float32ToFloat16(data);
  const vector = { name: 'v', kind: 'vector', shape: [4] } as const;
  const table = { name: 't', kind: 'table', shape: [2, 2] } as const;
  assert.deepEqual(floats(packTensor(vector, data, 'f16')), data);
  assert.equal(packTensor(vector, half, 'i8').dtype, 'f32');
  const packed = packTensor(table, data, 'i8');
  assert.equal(packed.dtype, 'f16');
  assert.deepEqual(new Uint16Array(packed.data.buffer), half);
  assert.deepEqual(floats(packTensor(table, data, 'f32')), data);
});

test('refuses data that does not fill its shape', () => {
  assert.throws(() => packMatrix(new Float32Array(5), [2, 3], 'f32'), RangeError);
  assert.throws(() => packMatrix(new Float32Array(5), [5], 'f32'), RangeError);
  assert.equal(packedLength([9, 2, 3, 3]), 16 * 18);
});
