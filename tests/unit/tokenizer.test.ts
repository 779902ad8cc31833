import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { isSDError } from '../../sdk/errors.ts';
import { Tokenizer } from '../../sdk/tokenizer/tokenizer.ts';
import { byteCharacters } from '../../sdk/tokenizer/vocabulary.ts';

const wasm = readFileSync(new URL('../../build/wasm/tokenizer.wasm', import.meta.url));

/** The 256 bytes, plain and ending a word, a few merges, and the two markers. */
function smallFiles(merges: string[]) {
  const base = [...byteCharacters().values()];
  const tokens = [
    ...base,
    ...base.map((char) => char + '</w>'),
    ...merges.map((merge) => merge.replace(' ', '')),
    '<|startoftext|>',
    '<|endoftext|>',
  ];
  return {
    vocab: JSON.stringify(Object.fromEntries(tokens.map((token, id) => [token, id]))),
    merges: ['#version: 0.2', ...merges].join('\n'),
  };
}
const files = smallFiles(['c a', 'ca t</w>', 'a t</w>', 'a a', 'aa a</w>']);
const tokensOf = (tokenizer: Tokenizer, text: string) =>
  tokenizer.encode(text).map((id) => tokenizer.decode([id]));

test('merges by rank, words end with </w>, white space only separates', async () => {
  const tokenizer = await Tokenizer.create(wasm, files);
  assert.deepEqual(tokensOf(tokenizer, '  cat\tCAT\n'), ['cat', 'cat']);
  assert.deepEqual(tokenizer.encode('cat'), tokenizer.encode('Cat'));
  assert.deepEqual(tokensOf(tokenizer, 'aaaa'), ['aa', 'a', 'a']);
  assert.deepEqual(tokensOf(tokenizer, 'aaaaa'), ['aa', 'aaa']);
});

test('encodeForModel: BOS, 75 ids, EOS, padding, and what was dropped', async () => {
  const tokenizer = await Tokenizer.create(wasm, files);
  const { ids, dropped } = tokenizer.encodeForModel('cat '.repeat(80));
  assert.equal(ids.length, 77);
  assert.equal(ids[0], tokenizer.bos);
  assert.equal(ids[76], tokenizer.eos);
  assert.equal(dropped, 'cat cat cat cat cat');
  const short = tokenizer.encodeForModel('cat');
  assert.equal(short.dropped, '');
  assert.ok(short.ids.subarray(2).every((id) => id === tokenizer.eos));
});

test('a lone surrogate is refused', async () => {
  const tokenizer = await Tokenizer.create(wasm, files);
  for (const text of ['\ud800', 'a\udc00b', '\udc00\ud800']) {
    assert.throws(
      () => tokenizer.encode(text),
      (error) => isSDError(error) && error.code === 'INVALID_PROMPT',
    );
  }
  assert.doesNotThrow(() => tokenizer.encode('😀'));
});

test('files that are no tokenizer’s are refused', async () => {
  const cases: [object, RegExp][] = [
    [{ vocab: '{' }, /not JSON/],
    [{ vocab: '[]' }, /token → id/],
    [{ vocab: '{"a": -1}' }, /no valid id/],
    [{ vocab: '{"a": 0}' }, /unknown token/],
    [{ merges: '#version: 0.2\na b c' }, /line 2/],
    [{ config: { bos_token: 7 } }, /bos_token/],
    [{ config: { model_max_length: 1 } }, /model_max_length/],
    [{ addedTokens: { x: 'y' } }, /bad id/],
  ];
  for (const [change, message] of cases) {
    await assert.rejects(
      Tokenizer.create(wasm, { ...files, ...change }),
      (error) => isSDError(error) && error.code === 'INVALID_MODEL' && message.test(error.message),
      JSON.stringify(change),
    );
  }
});

test('a word that is a token cannot be added', async () => {
  const tokenizer = await Tokenizer.create(wasm, files);
  assert.deepEqual(tokenizer.addTokens('<toy>', 2), [519, 520]);
  for (const taken of ['<toy>', '<toy>_1', 'cat</w>', '']) {
    assert.throws(
      () => tokenizer.addTokens(taken),
      (error) => isSDError(error) && error.code === 'INVALID_OPTION',
    );
  }
});

test('a model without a length limit still has 77 positions', async () => {
  const config = { model_max_length: 1e30 };
  assert.equal((await Tokenizer.create(wasm, { ...files, config })).modelMaxLength, 77);
});
