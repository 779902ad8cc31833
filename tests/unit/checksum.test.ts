import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checksum } from '../../sdk/cache/checksum.ts';
import { randomInts } from './weights-helpers.ts';

const next = randomInts(1);
const bytes = Uint8Array.from({ length: 5003 }, () => next());
const good = checksum(bytes);
const differs = (changed: Uint8Array, what: string): void =>
  assert.notEqual(checksum(changed), good, what);

test('a checksum is the same for the same bytes, wherever they lie', () => {
  assert.match(good, /^[0-9a-f]{32}$/);
  const elsewhere = new Uint8Array(6000).fill(7);
  elsewhere.set(bytes, 16);
  assert.equal(checksum(elsewhere.subarray(16, 16 + bytes.length)), good);
  const seen = new Set([0, 1, 15, 16, 17].map((length) => checksum(new Uint8Array(length))));
  assert.equal(seen.size, 5, 'zeros of every length differ');
});

test('it finds every flipped bit, and pairs of the same bit', () => {
  const changed = bytes.slice();
  for (let bit = 0; bit < 8 * bytes.length; bit++) {
    changed[bit >> 3] ^= 1 << (bit & 7);
    differs(changed, `bit ${bit}`);
    // The highest bit of a word is where products of 32 bits are weak.
    const other = (bit + 8 * 16 * (1 + (next() % 100))) % (8 * bytes.length);
    changed[other >> 3] ^= 1 << (other & 7);
    if (other !== bit) differs(changed, `bits ${bit} and ${other}`);
    changed.set(bytes);
  }
});

test('it finds what drives do: zeros, ends cut off, pieces moved, swapped or of another file', () => {
  for (let round = 0; round < 2000; round++) {
    const length = 1 + (next() % 512);
    const at = next() % (bytes.length - length);
    differs(bytes.slice().fill(0, at, at + length), `${length} zeros at ${at}`);
    differs(bytes.slice(0, bytes.length - length), `${length} bytes cut off`);
    const from = next() % (bytes.length - length);
    if (from !== at) differs(bytes.slice().copyWithin(at, from, from + length), `${from} to ${at}`);
    const other = bytes.slice();
    for (let i = at; i < at + length; i++) other[i] = next();
    if (length > 8) differs(other, `${length} other bytes at ${at}`);
  }
});
