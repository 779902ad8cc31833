/**
 * Runs golden files of token ids: texts with their ids, BOS and EOS included, untruncated, for each
 * of the tokenizer's variants. They need CLIP's own vocabulary, which is not part of the project.
 */
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { Tokenizer } from '../../sdk/tokenizer/tokenizer.ts';
import type { TokenizerFiles } from '../../sdk/tokenizer/tokenizer.ts';
import type { TokenizerVariant } from '../../sdk/tokenizer/variant.ts';
import { VARIANTS } from '../../sdk/tokenizer/variants.ts';
import { convertOpenAIVocabulary } from '../../sdk/tokenizer/vocabulary.ts';
import type { Report, Unsupported } from './golden-report.ts';

/** Golden name → variant. */
const BY_GOLDEN_NAME: Record<string, TokenizerVariant> = {
  openai: VARIANTS.openai,
  slow_ftfy: VARIANTS['slow-ftfy'],
  slow_noftfy: VARIANTS.slow,
  fast_v5: VARIANTS.fast,
};

interface Case {
  text: string;
  [variant: string]: string | number[];
}

const NO_VOCABULARY =
  'give CLIP’s bpe_simple_vocab_16e6.txt.gz with --vocab FILE or in SDW_CLIP_VOCAB';

/** `bpe_simple_vocab_16e6.txt`, gzipped or not, as tokenizer files. */
export function readOpenAIVocabulary(path: string): TokenizerFiles {
  const bytes = readFileSync(path);
  const isGzip = bytes[0] === 0x1f && bytes[1] === 0x8b;
  return convertOpenAIVocabulary((isGzip ? gunzipSync(bytes) : bytes).toString('utf8'));
}

/** The compiled tokenizer: `npm run build:wasm` makes it. */
export function readTokenizerWasm(): Uint8Array<ArrayBuffer> {
  return new Uint8Array(readFileSync(new URL('../../build/wasm/tokenizer.wasm', import.meta.url)));
}

/** CLIP's own tokenizer, slow; rejects where its vocabulary is not at hand. */
export function clipTokenizer(vocab: string | undefined): Promise<Tokenizer> {
  const tokenizer =
    vocab === undefined
      ? Promise.reject<Tokenizer>(new Error(NO_VOCABULARY))
      : Tokenizer.create(readTokenizerWasm(), readOpenAIVocabulary(vocab));
  // Whoever awaits it sees the rejection; who does not need it shall not die of it.
  tokenizer.catch(() => undefined);
  return tokenizer;
}

/** The error of a case is its number of ids that differ; none may. */
export async function run(
  json: unknown,
  report: Report,
  unsupported: Unsupported,
  options: { vocab?: string },
): Promise<void> {
  const { cases } = json as { cases: Case[] };
  if (options.vocab === undefined) {
    for (const test of cases) unsupported(label(test), NO_VOCABULARY);
    return;
  }
  const files = readOpenAIVocabulary(options.vocab);
  const wasm = readTokenizerWasm();
  const tokenizers = new Map<string, Tokenizer>();
  for (const test of cases) {
    for (const [name, expected] of Object.entries(test)) {
      if (!Array.isArray(expected)) continue;
      const variant = BY_GOLDEN_NAME[name];
      if (!variant) {
        unsupported(`${label(test)} ${name}`, 'no such tokenizer variant is known');
        continue;
      }
      const tokenizer = tokenizers.get(name) ?? (await Tokenizer.create(wasm, files, variant));
      tokenizers.set(name, tokenizer);
      const ids = [tokenizer.bos, ...tokenizer.encode(test.text), tokenizer.eos];
      report(`${label(test)} ${name}`, mismatches(ids, expected), 0);
    }
  }
}

function mismatches(ids: number[], expected: number[]): number {
  let count = Math.abs(ids.length - expected.length);
  for (let i = 0; i < Math.min(ids.length, expected.length); i++) {
    if (ids[i] !== expected[i]) count++;
  }
  return count;
}

function label(test: Case): string {
  return JSON.stringify(test.text.length > 40 ? `${test.text.slice(0, 40)}…` : test.text);
}
