import assert from 'node:assert/strict';
import { test } from 'node:test';
import { float32ToFloat16, smallToFloat32 } from '../../sdk/small-floats.ts';
import { toFloat16, toFloat32 } from '../../sdk/weights/dtype.ts';
import { randomInts } from './weights-helpers.ts';

const bytesOf = (array: ArrayBufferView<ArrayBuffer>): Uint8Array<ArrayBuffer> =>
  new Uint8Array(array.buffer, array.byteOffset, array.byteLength);

test('every f16 survives the way to f32 and back', () => {
  const codes = Uint16Array.from({ length: 65536 }, (_, i) => i);
  const values = smallToFloat32(codes, 'F16');
  const back = float32ToFloat16(values);
  for (let code = 0; code < 65536; code++) {
    const isNaN = (code & 0x7c00) === 0x7c00 && (code & 0x3ff) !== 0;
    if (isNaN) assert.ok(Number.isNaN(values[code]) && (back[code] & 0x7fff) > 0x7c00);
    else assert.equal(back[code], code);
  }
  assert.equal(values[0x3c00], 1);
  assert.equal(values[0x0001], 2 ** -24);
  assert.equal(values[0x7bff], 65504);
  assert.equal(values[0xfc00], -Infinity);
  assert.ok(Object.is(values[0x8000], -0));
});

test('f32 to f16 rounds to nearest, ties to even, at every border', () => {
  // Between two neighbours: just under the middle, the middle, just over it.
  const f32 = new Float32Array(1);
  const bits = new Uint32Array(f32.buffer);
  for (let code = 0; code < 0x7c00; code++) {
    const [low, high] = smallToFloat32(Uint16Array.of(code, Math.min(code + 1, 0x7bff)), 'F16');
    const next = code === 0x7bff ? 65536 : high;
    f32[0] = (low + next) / 2;
    const middle = f32[0];
    bits[0]--;
    const under = f32[0];
    bits[0] += 2;
    const over = f32[0];
    const even = code % 2 === 0 ? code : code + 1;
    assert.deepEqual([...float32ToFloat16(Float32Array.of(under, middle, over))], [code, even, code + 1]); // prettier-ignore
    assert.equal(float32ToFloat16(Float32Array.of(-middle))[0], even | 0x8000);
  }
});

test('f32 to f16: infinities, NaN, overflow, underflow, signed zero', () => {
  const values = Float32Array.of(Infinity, -Infinity, 65520, 65519.99, 1e38, -1e-30, -0, 1e-45);
  assert.deepEqual(
    [...float32ToFloat16(values)],
    [0x7c00, 0xfc00, 0x7c00, 0x7bff, 0x7c00, 0x8000, 0x8000, 0],
  );
  assert.ok((float32ToFloat16(Float32Array.of(NaN))[0] & 0x7fff) > 0x7c00);
});

test('bf16 is the upper half of f32', () => {
  const next = randomInts(1);
  const codes = Uint16Array.from({ length: 4096 }, () => next());
  const values = toFloat32(bytesOf(codes), 'BF16');
  const bits = new Uint32Array(values.buffer);
  codes.forEach((code, i) => assert.equal(bits[i] >>> 0, (code << 16) >>> 0));
});

test('f8 of both kinds', () => {
  const e4m3 = toFloat32(Uint8Array.of(0x00, 0x01, 0x07, 0x08, 0x38, 0x7e, 0xfe, 0x80), 'F8_E4M3');
  assert.deepEqual([...e4m3], [0, 2 ** -9, 7 * 2 ** -9, 2 ** -6, 1, 448, -448, -0]);
  assert.ok(toFloat32(Uint8Array.of(0x7f, 0xff), 'F8_E4M3').every(Number.isNaN));
  const e5m2 = toFloat32(Uint8Array.of(0x00, 0x01, 0x03, 0x04, 0x3c, 0x7b, 0x7c, 0xfc), 'F8_E5M2');
  assert.deepEqual([...e5m2], [0, 2 ** -16, 3 * 2 ** -16, 2 ** -14, 1, 57344, Infinity, -Infinity]);
  assert.ok(toFloat32(Uint8Array.of(0x7d, 0xfe), 'F8_E5M2').every(Number.isNaN));
});

test('f64 goes through f32, as torch casts it', () => {
  // 1 + 2^-11 + 2^-30 is over the middle of two f16 in f64, and on it once it is f32.
  const values = Float64Array.of(1 + 2 ** -11 + 2 ** -30, Math.PI, 1e300);
  assert.deepEqual([...toFloat32(bytesOf(values), 'F64')], [1 + 2 ** -11, Math.fround(Math.PI), Infinity]); // prettier-ignore
  assert.deepEqual([...toFloat16(bytesOf(values), 'F64')], [0x3c00, 0x4248, 0x7c00]);
});

test('reads bytes at any offset and copies only when it must', () => {
  const buffer = new ArrayBuffer(12);
  new Float32Array(buffer, 4, 2).set([3, 4]);
  assert.deepEqual([...toFloat32(new Uint8Array(buffer, 4, 8), 'F32')], [3, 4]);
  const whole = new Uint8Array(new Float32Array([5]).buffer);
  assert.equal(toFloat32(whole, 'F32').buffer, whole.buffer);
  assert.throws(() => toFloat32(new Uint8Array(3), 'F32'), RangeError);
});
