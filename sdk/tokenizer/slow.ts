import { SlowCutter } from './added-tokens.ts';
import { CONTROL_FLAG, KIND_MASK, KIND_SPACE } from './byte-pair.ts';
import type { TokenizerVariant } from './variant.ts';

/** transformers ≤ 4 CLIPTokenizer without ftfy, as a plain install of diffusers has it. */
export const slow: TokenizerVariant = {
  cutsAddedTokens: true,
  cutter: () => new SlowCutter(),
  encode: (text, encoder) =>
    encoder.encode(
      clean(text, (code) => encoder.classify(code)),
      true,
    ),
};

/**
 * BERT's BasicTokenizer with strip_accents=False and do_split_on_punc=False. The words it makes stay
 * apart by white space, which the split that follows skips, so they are not joined again here.
 */
function clean(text: string, classify: (code: number) => number): string {
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
export function lowerCase(text: string): string {
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
