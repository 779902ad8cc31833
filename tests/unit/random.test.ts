import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isSDError } from '../../sdk/errors.ts';
import { fma32 } from '../../sdk/random/float32.ts';
import {
  createGenerator,
  ListGenerator,
  NumpyGenerator,
  PhiloxGenerator,
  slerp,
  TorchGenerator,
  type GeneratorKind,
} from '../../sdk/random/index.ts';

const refusedOption = (error: unknown) => isSDError(error) && error.code === 'INVALID_OPTION';

test('fma32 rounds once where f64 would round twice', () => {
  // 641 · 6700417 = 2^32 + 1, so the sum is a hair above the midpoint of 1 and 1 + 2^-23.
  const [a, b] = [641 * 2 ** -28, 6700417 * 2 ** -28];
  assert.equal(Math.fround(a * b + 1), 1);
  assert.equal(fma32(a, b, 1), 1 + 2 ** -23);
  assert.equal(fma32(-a, b, -1), -1 - 2 ** -23);
  // A hair below the midpoint of 1 + 2^-23 and 1 + 2^-22.
  const [c, d] = [2 ** -12 * (1 + 2 ** -23), 2 ** -12 * (1 - 2 ** -23)];
  assert.equal(Math.fround(c * d + (1 + 2 ** -23)), 1 + 2 ** -22);
  assert.equal(fma32(c, d, 1 + 2 ** -23), 1 + 2 ** -23);
  assert.equal(fma32(2, 3, 4), 10);
});

test('torch: the seed counts modulo 2^32, and -1 as 2^64 - 1', () => {
  const draw = (seed: number | bigint) => new TorchGenerator(seed).randn([20]);
  assert.deepEqual(draw(42), draw(2 ** 32 + 42));
  assert.deepEqual(draw(-1), draw(2n ** 64n - 1n));
  assert.notDeepEqual(draw(42), draw(43));
});

test('torch: the spare of a small draw outlives a large one', () => {
  const expected = new TorchGenerator(5).randn([4]);
  const generator = new TorchGenerator(5);
  const first = generator.randn([3]);
  generator.randn([16]);
  assert.deepEqual([...first, ...generator.randn([1])], [...expected]);
});

test('torch: uniform keeps its bounds and is affine in rand', () => {
  const plain = new TorchGenerator(9).rand([1000]);
  const scaled = new TorchGenerator(9).uniform([1000], -0.25, 0.25);
  scaled.forEach((value, i) => assert.ok(Math.abs(value - (plain[i] / 2 - 0.25)) < 1e-7));
});

test('every generator draws mean 0 and variance 1', () => {
  for (const kind of ['torch', 'cuda', 'numpy'] as const) {
    const values = createGenerator(kind, 3).randn([1, 4, 128, 128]);
    const mean = values.reduce((a, b) => a + b) / values.length;
    const variance = values.reduce((a, b) => a + b * b, 0) / values.length - mean ** 2;
    assert.ok(Math.abs(mean) < 0.02, `${kind} mean ${mean}`);
    assert.ok(Math.abs(variance - 1) < 0.02, `${kind} variance ${variance}`);
  }
});

test('a list draws one slice per generator, a list of one the whole batch', () => {
  const list = new ListGenerator([new TorchGenerator(1), new TorchGenerator(2)]);
  const batch = list.randn([2, 4, 4, 4]);
  assert.deepEqual(batch.subarray(0, 64), new TorchGenerator(1).randn([1, 4, 4, 4]));
  assert.deepEqual(batch.subarray(64), new TorchGenerator(2).randn([1, 4, 4, 4]));
  const single = new ListGenerator([new TorchGenerator(1)]);
  assert.deepEqual(single.randn([2, 3]), new TorchGenerator(1).randn([2, 3]));
  assert.throws(() => list.randn([3, 4]), refusedOption);
});

test('philox: successive calls differ, and a small card shares only the first threads', () => {
  const generator = new PhiloxGenerator(7);
  assert.notDeepEqual(generator.randn([64]), generator.randn([64]));
  const unlimited = new PhiloxGenerator(7).randn([2048]);
  const limited = new PhiloxGenerator(7, 512).randn([2048]);
  assert.deepEqual(limited.subarray(0, 512), unlimited.subarray(0, 512));
  assert.notDeepEqual(limited.subarray(512), unlimited.subarray(512));
});

test('philox: a thread past its four normals goes on with the next counter', () => {
  const limited = new PhiloxGenerator(7, 256);
  const first = limited.randn([256 * 5]);
  const next = new PhiloxGenerator(7, 256);
  next.randn([256]);
  assert.deepEqual(first.subarray(1024), next.randn([256]));
});

test('slerp keeps the ends and the length of unit vectors', () => {
  const shape = [1, 3, 2];
  const low = Float32Array.of(1, 0, 0, 1, 0, 0);
  const high = Float32Array.of(0, 0, 1, 0, 0, 1);
  assert.deepEqual(slerp(0, low, high, shape), low);
  assert.deepEqual(slerp(1, low, high, shape), high);
  const half = slerp(0.5, low, high, shape);
  for (let column = 0; column < 2; column++) {
    const length = Math.hypot(half[column], half[column + 2], half[column + 4]);
    assert.ok(Math.abs(length - 1) < 1e-6);
  }
  assert.deepEqual(slerp(0.3, low, low, shape), low);
});

test('bad seeds and sources are refused', () => {
  assert.throws(() => new TorchGenerator(1.5), refusedOption);
  assert.throws(() => new TorchGenerator(NaN), refusedOption);
  assert.throws(() => new TorchGenerator(2n ** 64n), refusedOption);
  assert.throws(() => new NumpyGenerator(2 ** 32), refusedOption);
  assert.throws(() => new NumpyGenerator(-1), refusedOption);
  assert.throws(() => createGenerator('dice' as GeneratorKind, 1), refusedOption);
});
