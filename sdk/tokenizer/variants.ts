import { fast } from './fast.ts';
import { htmlUnescape } from './ftfy/html.ts';
import { fixText } from './ftfy/index.ts';
import { lowerCase, slow } from './slow.ts';
import type { TokenizerVariant } from './variant.ts';

/**
 * transformers ≤ 4 CLIPTokenizer where ftfy is installed (CompVis, A1111). It also collapses white
 * space, which the split skips anyway.
 */
const slowFtfy: TokenizerVariant = {
  ...slow,
  encode: (text, encoder) => encoder.encode(lowerCase(fixText(text)), true),
};

/**
 * `clip.simple_tokenizer` of openai/CLIP: HTML is unescaped twice more, names without semicolon
 * included.
 */
const openai: TokenizerVariant = {
  ...slow,
  cutsAddedTokens: false,
  encode: (text, encoder) =>
    encoder.encode(lowerCase(htmlUnescape(htmlUnescape(fixText(text)))), true),
};

/**
 * All that there are. The package has `slow` and no others, since no option chooses one: ftfy's tables
 * alone are 9 KB, compressed.
 */
export const VARIANTS = { slow, 'slow-ftfy': slowFtfy, fast, openai };
