import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { Tokenizer } from '../../sdk/tokenizer/tokenizer.ts';
import type { TokenizerFiles } from '../../sdk/tokenizer/tokenizer.ts';
import { VARIANTS } from '../../sdk/tokenizer/variants.ts';

// Texts and ids made by tests/reference/tokenizer.py with a small vocabulary of its own.

interface Fixtures {
  cases: { text: string; [variant: string]: string | number[] }[];
  configs: {
    name: string;
    config?: object;
    specialTokensMap?: object;
    addedTokens?: object;
    inversions?: [string, number][];
    special: [number, number, number];
    cases: { text: string; slow: number[]; fast: number[]; decoded: string }[];
  }[];
}

const at = (name: string) => new URL(`../fixtures/tokenizer/${name}`, import.meta.url);
const wasm = await WebAssembly.compile(
  readFileSync(new URL('../../build/wasm/tokenizer.wasm', import.meta.url)),
);
const fixtures: Fixtures = JSON.parse(gunzipSync(readFileSync(at('cases.json.gz'))).toString());
const files: TokenizerFiles = {
  vocab: readFileSync(at('vocab.json'), 'utf8'),
  merges: readFileSync(at('merges.txt'), 'utf8'),
};
const GOLDEN_NAME = {
  slow: 'slow_noftfy',
  'slow-ftfy': 'slow_ftfy',
  fast: 'fast_v5',
  openai: 'openai',
} as const;

for (const [variant, way] of Object.entries(VARIANTS)) {
  const name = GOLDEN_NAME[variant as keyof typeof VARIANTS];
  test(`${variant}: the ids of ${fixtures.cases.length} hostile texts`, async () => {
    const tokenizer = await Tokenizer.create(wasm, files, way);
    assert.ok(fixtures.cases.length > 200);
    for (const fixture of fixtures.cases) {
      const ids = [tokenizer.bos, ...tokenizer.encode(fixture.text), tokenizer.eos];
      assert.deepEqual(ids, fixture[name], JSON.stringify(fixture.text));
    }
  });
}

for (const fixture of fixtures.configs) {
  test(`special and added tokens: ${fixture.name}`, async () => {
    for (const variant of ['slow', 'fast'] as const) {
      const tokenizer = await Tokenizer.create(wasm, { ...files, ...fixture }, VARIANTS[variant]);
      for (const inversion of fixture.inversions ?? []) tokenizer.addTokens(...inversion);
      assert.deepEqual([tokenizer.bos, tokenizer.eos, tokenizer.pad], fixture.special);
      for (const { text, decoded, ...expected } of fixture.cases) {
        const ids = [tokenizer.bos, ...tokenizer.encode(text), tokenizer.eos];
        assert.deepEqual(ids, expected[variant], `${variant} ${JSON.stringify(text)}`);
        if (variant === 'slow') assert.equal(tokenizer.decode(ids), decoded);
      }
    }
  });
}

test('memory stays where the largest prompt left it', async () => {
  const { exports } = await WebAssembly.instantiate(wasm, {});
  const { memory, open, reserve } = exports as {
    memory: WebAssembly.Memory;
    open(tokenCount: number, mergeCount: number): void;
    reserve(bytes: number): number;
  };
  open(10, 10);
  const pointer = reserve(1 << 20);
  const size = memory.buffer.byteLength;
  for (let i = 0; i < 100; i++) assert.equal(reserve((1 << 20) - i), pointer);
  assert.equal(memory.buffer.byteLength, size);
});

test('a very long prompt is encoded like its parts', async () => {
  const tokenizer = await Tokenizer.create(wasm, files);
  const part = tokenizer.encode('a cat on a mat, ');
  const whole = tokenizer.encode('a cat on a mat, '.repeat(20_000));
  assert.equal(whole.length, part.length * 20_000);
  assert.deepEqual(whole.slice(-part.length), part);
});

test('every golden text, where CLIP’s own vocabulary is given by SDW_CLIP_VOCAB', async (t) => {
  const vocab = process.env.SDW_CLIP_VOCAB;
  const golden = process.env.SDW_GOLDEN_TOKENIZER;
  if (!vocab || !golden || !existsSync(vocab) || !existsSync(golden)) {
    t.skip('SDW_CLIP_VOCAB and SDW_GOLDEN_TOKENIZER are not set');
    return;
  }
  const { run } = await import('../parity/golden-tokenizer.ts');
  let cases = 0;
  const report = (name: string, error: number) => {
    cases++;
    assert.equal(error, 0, name);
  };
  await run(JSON.parse(readFileSync(golden, 'utf8')), report, assert.fail, { vocab });
  assert.ok(cases > 0);
});
