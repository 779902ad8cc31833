import { SDError } from '../errors.ts';

/** A byte-pair vocabulary: token → id, and the merges "left right" in the order of their rank. */
export interface Vocabulary {
  ids: Map<string, number>;
  merges: string[];
}

/** Hugging Face's CLIPTokenizer reads this many merges and no more, whatever the file holds. */
const MERGE_LIMIT = 49152 - 256 - 2;

/**
 * Reads a model's `vocab.json` and `merges.txt` as transformers' CLIPTokenizer does: the first line
 * of the merges is a header, and at most 48894 merges count.
 * @throws SDError INVALID_MODEL when either file is not what it should be.
 */
export function parseVocabulary(vocab: string, merges: string): Vocabulary {
  let parsed: unknown;
  try {
    parsed = JSON.parse(vocab);
  } catch (cause) {
    throw new SDError('INVALID_MODEL', 'The tokenizer’s vocab.json is not JSON.', { cause });
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) {
    throw new SDError('INVALID_MODEL', 'The tokenizer’s vocab.json must be an object token → id.');
  }
  const ids = new Map<string, number>();
  for (const [token, id] of Object.entries(parsed)) {
    if (!Number.isInteger(id) || id < 0 || id > 0x7fffffff) {
      throw new SDError('INVALID_MODEL', `vocab.json gives ${JSON.stringify(token)} no valid id.`);
    }
    ids.set(token, id as number);
  }
  const lines = merges
    .trim()
    .split(/\r?\n/)
    .slice(1, 1 + MERGE_LIMIT);
  return { ids, merges: lines.map(parseMerge) };
}

function parseMerge(line: string, index: number): string {
  const parts = line.trim().split(/\s+/);
  if (parts.length !== 2 || parts[0] === '') {
    throw new SDError(
      'INVALID_MODEL',
      `merges.txt line ${index + 2} must be two symbols, found ${JSON.stringify(line.slice(0, 60))}.`,
    );
  }
  return parts.join(' ');
}

/**
 * The byte → character table of GPT-2 and CLIP: printable Latin-1 bytes stand for themselves, the
 * other 68 for U+0100, U+0101, …. The order of the entries is that of CLIP's vocabulary.
 */
export function byteCharacters(): Map<number, string> {
  const table = new Map<number, string>();
  const printable = (b: number) =>
    (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || (b >= 174 && b <= 255);
  for (let b = 0; b < 256; b++) if (printable(b)) table.set(b, String.fromCharCode(b));
  let next = 256;
  for (let b = 0; b < 256; b++) if (!printable(b)) table.set(b, String.fromCharCode(next++));
  return table;
}

/**
 * Turns OpenAI's `bpe_simple_vocab_16e6.txt` (unzipped) into the text of the `vocab.json` and the
 * `merges.txt` that Hugging Face ships; follows `clip/simple_tokenizer.py`.
 */
export function convertOpenAIVocabulary(text: string): { vocab: string; merges: string } {
  const merges = text.split('\n').slice(1, 1 + MERGE_LIMIT);
  if (merges.length < MERGE_LIMIT) {
    throw new SDError('INVALID_MODEL', `The BPE vocabulary has only ${merges.length} merges.`);
  }
  const base = [...byteCharacters().values()];
  const tokens = [
    ...base,
    ...base.map((char) => char + '</w>'),
    ...merges.map((merge) => merge.split(/\s+/).join('')),
    '<|startoftext|>',
    '<|endoftext|>',
  ];
  const vocab = JSON.stringify(Object.fromEntries(tokens.map((token, id) => [token, id])));
  return { vocab, merges: ['#version: 0.2', ...merges].join('\n') + '\n' };
}
