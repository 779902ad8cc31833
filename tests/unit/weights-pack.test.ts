import assert from 'node:assert/strict';
import { test } from 'node:test';
import { float16ToFloat32, float32ToFloat16 } from '../../sdk/weights/dtype.ts';
import { packedLength, packMatrix, packTensor, unpackTensor } from '../../sdk/weights/pack.ts';
import { randomFloats } from './weights-helpers.ts';

test('a linear weight lies in panels of eight columns', () => {
  const shape = [10, 3];
  const data = Float32Array.from({ length: 30 }, (_, i) => i + 1);
  const packed = packMatrix(data, shape, 'f32');
  assert.equal(packed.data.length, 2 * 3 * 8);
  for (let n = 0; n < 16; n++)
    for (let k = 0; k < 3; k++) {
      const at = (Math.floor(n / 8) * 3 + k) * 8 + (n % 8);
      assert.equal(packed.data[at], n < 10 ? data[n * 3 + k] : 0, `column ${n}, row ${k}`);
    }
});

test('the depth of a convolution runs over kh, kw, then channels', () => {
  const [n, c, kh, kw] = [9, 5, 3, 2];
  const data = Float32Array.from({ length: n * c * kh * kw }, (_, i) => i + 1);
  const packed = packMatrix(data, [n, c, kh, kw], 'f32');
  const depth = c * kh * kw;
  for (let o = 0; o < n; o++)
    for (let i = 0; i < c; i++)
      for (let y = 0; y < kh; y++)
        for (let x = 0; x < kw; x++) {
          const k = (y * kw + x) * c + i;
          const at = (Math.floor(o / 8) * depth + k) * 8 + (o % 8);
          assert.equal(packed.data[at], data[((o * c + i) * kh + y) * kw + x]);
        }
});

for (const shape of [
  [1, 1],
  [7, 3],
  [8, 8],
  [17, 5, 3, 3],
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
    const rounded = float16ToFloat32(half);
    assert.deepEqual(unpackTensor(packMatrix(data, shape, 'f16')), rounded);
    assert.deepEqual(packMatrix(half, shape, 'f16'), packMatrix(data, shape, 'f16'));
    assert.deepEqual(packMatrix(half, shape, 'f32'), packMatrix(rounded, shape, 'f32'));

    const quantised = packMatrix(data, shape, 'i8');
    assert.equal(quantised.scales!.length, Math.ceil(shape[0] / 8) * 8);
    const depth = data.length / shape[0];
    unpackTensor(quantised).forEach((value, i) => {
      const scale = quantised.scales![Math.floor(i / depth)];
      assert.ok(Math.abs(value - data[i]) <= scale * 0.50001, `${value} for ${data[i]}`);
    });
    for (let row = 0; row < shape[0]; row++) {
      const largest = Math.max(...data.subarray(row * depth, (row + 1) * depth).map(Math.abs));
      assert.equal(quantised.scales![row], Math.fround(largest / 127));
    }
  });

test('int8 rounds ties to even and takes a column of zeros', () => {
  const data = Float32Array.of(127, 0.5, 1.5, -2.5, 0, 0, 0, 0);
  const packed = packMatrix(data, [2, 4], 'i8');
  assert.deepEqual([...unpackTensor(packed)], [127, 0, 2, -2, 0, 0, 0, 0]);
  assert.equal(packed.scales![1], 0);
});

test('vectors stay f32; tables are rows as they are', () => {
  const data = Float32Array.of(1.0001, 2, 3, 4);
  assert.equal(packTensor('vector', data, [4], 'f16').data, data);
  assert.equal(packTensor('vector', float32ToFloat16(data), [4], 'i8').dtype, 'f32');
  const table = packTensor('table', data, [2, 2], 'i8');
  assert.equal(table.dtype, 'f16');
  assert.deepEqual(table.data, float32ToFloat16(data));
  assert.equal(packTensor('table', data, [2, 2], 'f32').data, data);
});

test('refuses data that does not fill its shape', () => {
  assert.throws(() => packMatrix(new Float32Array(5), [2, 3], 'f32'), RangeError);
  assert.throws(() => packMatrix(new Float32Array(5), [5], 'f32'), RangeError);
  assert.equal(packedLength([9, 2, 3, 3]), 16 * 18);
});
