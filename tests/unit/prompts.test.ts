import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { isSDError } from '../../sdk/errors.ts';
import { parseAttention } from '../../sdk/pipeline/prompts/attention.ts';
import { chunkPrompt, padAfterEnd } from '../../sdk/pipeline/prompts/chunks.ts';
import { applyEmphasis } from '../../sdk/pipeline/prompts/emphasis.ts';
import { extractNetworks } from '../../sdk/pipeline/prompts/networks.ts';
import {
  promptSchedule,
  scheduledIndex,
  splitComposed,
} from '../../sdk/pipeline/prompts/schedule.ts';
import { Tokenizer } from '../../sdk/tokenizer/tokenizer.ts';

// Expectations made by tests/reference/a1111_prompts.py with A1111's own code.

interface ChunkCase {
  prompt: string;
  backtrack: number;
  tokenCount: number;
  chunks: { tokens: number[]; weights: number[] }[];
}
interface Fixtures {
  attention: [string, [string, number][]][];
  /** prompt, steps, steps of the second pass, and every outcome that A1111 has had. */
  schedules: [string, number, number | null, [number, string][][]][];
  composed: [string, [string, number][]][];
  chunks: ChunkCase[];
  networks: [string, string, Record<string, string[][]>][];
}

const at = (name: string) => new URL(`../fixtures/${name}`, import.meta.url);
const fixtures: Fixtures = JSON.parse(
  gunzipSync(readFileSync(at('a1111-prompts.json.gz'))).toString(),
);
const attention = (prompt: string) =>
  parseAttention(prompt).map(({ text, weight }) => [text, weight]);
const schedule = (prompt: string, steps = 10, hires?: number) =>
  (hires === undefined ? promptSchedule(prompt, steps) : promptSchedule(prompt, hires, steps)).map(
    ({ until, text }) => [until, text],
  );

test('attention: A1111’s own examples, to the last bit', () => {
  assert.deepEqual(attention('normal text'), [['normal text', 1]]);
  assert.deepEqual(attention('(unbalanced'), [['unbalanced', 1.1]]);
  assert.deepEqual(attention('\\(literal\\]'), [['(literal]', 1]]);
  assert.deepEqual(attention('(unnecessary)(parens)'), [['unnecessaryparens', 1.1]]);
  assert.deepEqual(attention('a (((house:1.3)) [on] a (hill:0.5), sun, (((sky))).'), [
    ['a ', 1],
    ['house', 1.5730000000000004],
    [' ', 1.1],
    ['on', 1],
    [' a ', 1.1],
    ['hill', 0.55],
    [', sun, ', 1.1],
    ['sky', 1.4641000000000006],
    ['.', 1.1],
  ]);
  assert.deepEqual(attention(''), [['', 1]]);
  assert.deepEqual(attention('a BREAK b'), [
    ['a', 1],
    ['BREAK', -1],
    ['b', 1],
  ]);
});

test(`attention: ${fixtures.attention.length} random prompts`, () => {
  for (const [prompt, expected] of fixtures.attention) {
    assert.deepEqual(attention(prompt), expected, JSON.stringify(prompt));
  }
});

test('attention: a weight that is no number is refused', () => {
  for (const prompt of ['(a:1.2.3)', '(a:.)', '(a:+)'.replace('+', '+.')]) {
    assert.throws(
      () => parseAttention(prompt),
      (error) => isSDError(error) && error.code === 'INVALID_PROMPT',
    );
  }
});

test('schedules: A1111’s own examples', () => {
  assert.deepEqual(schedule('test'), [[10, 'test']]);
  assert.deepEqual(schedule('a [b:3]'), [
    [3, 'a '],
    [10, 'a b'],
  ]);
  assert.deepEqual(schedule('a [[[b]]:2]'), [
    [2, 'a '],
    [10, 'a [[b]]'],
  ]);
  assert.deepEqual(schedule('a[b:[c:d:2]:1]e'), [
    [1, 'abe'],
    [2, 'ace'],
    [10, 'ade'],
  ]);
  assert.deepEqual(schedule('((a][:b:c [d:3]'), [
    [3, '((a][:b:c '],
    [10, '((a][:b:c d'],
  ]);
  assert.deepEqual(schedule('[fe|||]male', 5), [
    [1, 'female'],
    [2, 'male'],
    [3, 'male'],
    [4, 'male'],
    [5, 'female'],
  ]);
  assert.deepEqual(schedule('a [b:1.5] c', 10, 10), [
    [5, 'a  c'],
    [10, 'a b c'],
  ]);
  const landscape =
    'fantasy landscape with a [mountain:lake:0.25] and [an oak:a christmas tree:0.75]' +
    '[ in foreground::0.6][ in background:0.25] [shoddy:masterful:0.5]';
  assert.deepEqual(schedule(landscape, 100), [
    [25, 'fantasy landscape with a mountain and an oak in foreground shoddy'],
    [50, 'fantasy landscape with a lake and an oak in foreground in background shoddy'],
    [60, 'fantasy landscape with a lake and an oak in foreground in background masterful'],
    [75, 'fantasy landscape with a lake and an oak in background masterful'],
    [100, 'fantasy landscape with a lake and a christmas tree in background masterful'],
  ]);
});

test(`schedules: ${fixtures.schedules.length} random prompts`, () => {
  let certain = 0;
  for (const [prompt, steps, hires, outcomes] of fixtures.schedules) {
    const texts = JSON.stringify(schedule(prompt, steps, hires ?? undefined));
    const expected = outcomes.map((outcome) => JSON.stringify(outcome));
    assert.ok(expected.includes(texts), `${JSON.stringify(prompt)}: ${texts} not in ${expected}`);
    if (outcomes.length === 1) certain++;
  }
  assert.ok(certain > 0.9 * fixtures.schedules.length);
});

test('schedules: brackets without end are read in linear time', () => {
  const open = '['.repeat(20_000);
  assert.deepEqual(schedule(open), [[10, open]]);
  const wide = '[a:b:3]'.repeat(20_000);
  assert.equal(schedule(wide).length, 2);
});

test('which text a call of the UNet uses', () => {
  const entries = [{ until: 3 }, { until: 10 }];
  assert.deepEqual(
    [0, 1, 3, 4, 9].map((call) => scheduledIndex(entries, call)),
    [0, 0, 0, 1, 1],
  );
});

test(`AND: ${fixtures.composed.length} random prompts`, () => {
  assert.deepEqual(splitComposed('a cat :1.5 AND a dog: -.5AND'), [
    { text: 'a cat', weight: 1.5 },
    { text: ' a dog: -.5AND', weight: 1 },
  ]);
  for (const [prompt, expected] of fixtures.composed) {
    const parts = splitComposed(prompt).map(({ text, weight }) => [text, weight]);
    assert.deepEqual(parts, expected, JSON.stringify(prompt));
  }
});

test('networks are taken out of the prompt', () => {
  for (const [prompt, text, found] of fixtures.networks) {
    const result = extractNetworks(prompt);
    assert.equal(result.text, text);
    const count = Object.values(found).reduce((sum, list) => sum + list.length, 0);
    assert.equal(result.references.length, count, prompt);
  }
  assert.deepEqual(extractNetworks('x <lora:a> <lora:b:0.8:0.5><lyco:c:te=2> <hypernet:d:1>'), {
    text: 'x   ',
    references: ['<lora:a>', '<lora:b:0.8:0.5>', '<lyco:c:te=2>', '<hypernet:d:1>'],
  });
});

const wasm = readFileSync(new URL('../../build/wasm/tokenizer.wasm', import.meta.url));
const tokenizer = await Tokenizer.create(wasm, {
  vocab: readFileSync(at('tokenizer/vocab.json'), 'utf8'),
  merges: readFileSync(at('tokenizer/merges.txt'), 'utf8'),
});
const comma = tokenizer.idOf(',</w>');
test(`chunks: ${fixtures.chunks.length} long prompts`, () => {
  for (const fixture of fixtures.chunks) {
    const { chunks, tokenCount } = chunkPrompt(parseAttention(fixture.prompt), tokenizer, {
      comma,
      commaBacktrack: fixture.backtrack,
    });
    assert.deepEqual(chunks, fixture.chunks, fixture.prompt);
    assert.equal(tokenCount, fixture.tokenCount);
  }
});

test('the padding of encoders that pad with another token', () => {
  const [{ tokens }] = chunkPrompt(parseAttention('a'), tokenizer).chunks;
  const padded = padAfterEnd(tokens, tokenizer.eos, 0);
  assert.deepEqual(padded.slice(0, 4), [tokenizer.bos, ...tokenizer.encode('a'), tokenizer.eos, 0]);
});

test('emphasis multiplies and restores the mean', () => {
  const states = () => Float32Array.from({ length: 12 }, (_, i) => Math.sin(i) + 0.5);
  const mean = (values: Float32Array) => values.reduce((sum, value) => sum + value, 0) / 12;
  const weights = [1, 1.5, 0.5, 1, 1, 1];
  const weighted = states().map((value, i) => value * weights[Math.floor(i / 2)]);
  const original = states();
  applyEmphasis(original, weights);
  assert.ok(Math.abs(mean(original) - mean(states())) < 1e-7);
  weighted.forEach((value, i) => {
    assert.ok(Math.abs(original[i] / value - mean(states()) / mean(weighted)) < 1e-6);
  });
});
