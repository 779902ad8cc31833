import assert from 'node:assert/strict';
import { test } from 'node:test';
import { float32ToFloat16 } from '../../sdk/small-floats.ts';
import { readHalf } from '../../sdk/weights/half.ts';
import { fails, randomFloats, randomInts } from './weights-helpers.ts';

/** The bytes in pieces of any length, as a network cuts them. */
async function* cut(values: Float32Array, seed: number): AsyncIterable<Uint8Array> {
  const bytes = new Uint8Array(values.buffer);
  const next = randomInts(seed);
  for (let at = 0; at < bytes.length;) {
    const length = 1 + (next() % 150_000);
    yield bytes.subarray(at, at + length);
    at += length;
  }
}

test('f32 in pieces becomes the same f16 as in one, wherever it is cut', async () => {
  for (const [count, seed] of [
    [0, 1],
    [1, 2],
    [3, 3],
    [65_536, 4],
    [300_001, 5],
  ] as const) {
    // prettier-ignore
    const values = randomFloats(count, seed);
    if (count > 10) values.set([NaN, Infinity, -Infinity, 1e-7, 65504, -0], 2);
    let seen = 0;
    const bytes = await readHalf('w', cut(values, seed), count, (n) => (seen += n));
    assert.deepEqual(bytes, new Uint8Array(float32ToFloat16(values).buffer));
    assert.equal(seen, 4 * count);
  }
});

test('a finite value that f16 cannot hold is refused by the name of its tensor', async () => {
  const values = randomFloats(100_000, 1);
  values[99_999] = 65520;
  await assert.rejects(readHalf('conv.weight', cut(values, 1), 100_000), fails('INVALID_FILE', /conv\.weight holds values beyond 65504/)); // prettier-ignore
});
