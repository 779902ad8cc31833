// A port of ftfy 6.3.1's `fix_text` with its default settings.
// ftfy is Copyright 2023 Robyn Speer, Apache License 2.0 (see LICENSE in this folder).

import { fixC1Controls, fixEncoding } from './encoding.ts';
import { unescapeHtml } from './html.ts';
import { LIGATURES } from './tables.ts';

/**
 * Repairs mojibake, HTML entities, ligatures, widths, quotes, line breaks and control characters,
 * line by line, and brings the text to NFC. HTML entities stay from the first line with a `<` on.
 * @param text well-formed text, shorter than a million characters
 */
export function fixText(text: string): string {
  let unescape = true;
  return text.replace(/[^\n]*\n|[^\n]+$/g, (line) => {
    if (line.includes('<')) unescape = false;
    return fixLine(line, unescape);
  });
}

function fixLine(text: string, unescape: boolean): string {
  for (;;) {
    const before = text;
    if (unescape) text = unescapeHtml(text);
    text = fixEncoding(text);
    text = fixC1Controls(text);
    text = text.replace(LIGATURE, (char) => LIGATURES[char]);
    // Fullwidth and halfwidth forms, and the ideographic space.
    text = text.replace(/[\u3000\uff01-\uffef]/g, (char) => char.normalize('NFKC'));
    text = text.replace(/[\u201c-\u201f]/g, '"').replace(/[\u02bc\u2018-\u201b]/g, "'");
    text = text.replace(/\r\n|[\r\u2028\u2029\x85]/g, '\n');
    text = text.replace(TERMINAL_ESCAPE, '').replace(CONTROL, '');
    text = text.normalize('NFC');
    if (text === before) return text;
  }
}

const LIGATURE = new RegExp(`[${Object.keys(LIGATURES).join('')}]`, 'g');
// eslint-disable-next-line no-control-regex
const TERMINAL_ESCAPE = /\x1b\[[\p{Nd};]*[a-zA-Z]/gu;
// eslint-disable-next-line no-control-regex
const CONTROL = /[\0-\x08\x0b\x0e-\x1f\x7f\u206a-\u206f\ufeff\ufff9-\ufffc]/g;
