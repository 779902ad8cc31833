import { htmlUnescape } from './ftfy/html.ts';
import { fixText } from './ftfy/index.ts';
import { CONTROL_FLAG, KIND_MASK, KIND_SPACE } from './byte-pair.ts';

/** Gives the Unicode class of a code point; see `BytePairEncoder.classify`. */
export type Classify = (code: number) => number;

/**
 * The cleanup of Hugging Face's slow CLIPTokenizer without ftfy: BERT's BasicTokenizer with
 * strip_accents=False and do_split_on_punc=False. The words it makes stay apart by white space,
 * which the split that follows skips, so they are not joined again here.
 */
export function cleanSlow(text: string, classify: Classify): string {
  let clean = '';
  for (const char of text) {
    const code = char.codePointAt(0) as number;
    if (code >= 0x20 && code < 0x7f) {
      clean += char;
      continue;
    }
    const flags = classify(code);
    const isBreak = code === 0x09 || code === 0x0a || code === 0x0d;
    if (isBreak) clean += ' ';
    else if (code === 0xfffd || (flags & CONTROL_FLAG) !== 0) continue;
    else if ((flags & KIND_MASK) === KIND_SPACE) clean += ' ';
    else if (isIdeograph(code)) clean += ` ${char} `;
    else clean += char;
  }
  return lowerCase(clean.normalize('NFC'));
}

/**
 * Lower case, as Python's and JavaScript's agree on it. U+0345 is dropped here: in the split that
 * follows, IGNORECASE makes it a letter (iota) for `[^…\p{L}…]` but not for `\p{L}`, so that no
 * alternative matches it.
 */
function lowerCase(text: string): string {
  return text.toLowerCase().replaceAll('\u0345', ' ');
}

/** The CJK blocks of BERT's `_is_chinese_char`. */
function isIdeograph(code: number): boolean {
  return (
    (code >= 0x4e00 && code <= 0x9fff) ||
    (code >= 0x3400 && code <= 0x4dbf) ||
    (code >= 0x20000 && code <= 0x2a6df) ||
    (code >= 0x2a700 && code <= 0x2b73f) ||
    (code >= 0x2b740 && code <= 0x2b81f) ||
    (code >= 0x2b820 && code <= 0x2ceaf) ||
    (code >= 0xf900 && code <= 0xfaff) ||
    (code >= 0x2f800 && code <= 0x2fa1f)
  );
}

/**
 * The normaliser of the fast tokenizer: NFC, white space to single spaces, then lower case code point
 * by code point as Rust's `char::to_lowercase` does, without the final sigma of a whole word.
 */
export function normalizeFast(text: string): string {
  let normal = '';
  for (const char of text.normalize('NFC').replace(WHITE_SPACE, ' ')) normal += char.toLowerCase();
  return normal;
}

/** Unicode White_Space, which is not JavaScript's `\s` (U+0085 and U+FEFF). */
const WHITE_SPACE = /\p{White_Space}+/gu;

/**
 * The cleanup of the slow CLIPTokenizer where ftfy is installed. It also collapses white space, which
 * the split skips anyway.
 */
export function cleanFtfy(text: string): string {
  return lowerCase(fixText(text));
}

/** The cleanup of openai/CLIP: HTML is unescaped twice more, names without semicolon included. */
export function cleanOpenAI(text: string): string {
  return lowerCase(htmlUnescape(htmlUnescape(fixText(text))));
}
