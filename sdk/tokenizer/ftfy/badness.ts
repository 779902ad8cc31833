import { SPACE as S, WORD as W } from '../python-regex.ts';
import { CATEGORY as C } from './tables.ts';

/** ftfy's BADNESS_RE: neighbours that hardly ever occur except in text decoded wrongly. */
const PATTERNS = [
  `[${C.c1}]`,
  `[${C.bad}${C.lower_accented}${C.upper_accented}${C.box}${C.start_punctuation}${C.end_punctuation}${C.currency}${C.numeric}${C.law}][${C.bad}]`,
  `[a-zA-Z][${C.lower_common}${C.upper_common}][${C.bad}]`,
  `[${C.bad}][${C.lower_accented}${C.upper_accented}${C.box}${C.start_punctuation}${C.end_punctuation}${C.currency}${C.numeric}${C.law}]`,
  `[${C.lower_accented}${C.lower_common}${C.box}${C.end_punctuation}${C.currency}${C.numeric}][${C.upper_accented}]`,
  `[${C.box}${C.end_punctuation}${C.currency}${C.numeric}][${C.lower_accented}]`,
  `[${C.lower_accented}${C.box}${C.end_punctuation}][${C.currency}]`,
  `${S}[${C.upper_accented}][${C.currency}]`,
  `[${C.upper_accented}${C.box}][${C.numeric}${C.law}]`,
  `[${C.lower_accented}${C.upper_accented}${C.box}${C.currency}${C.end_punctuation}][${C.start_punctuation}][${C.numeric}]`,
  `[${C.lower_accented}${C.upper_accented}${C.currency}${C.numeric}${C.box}${C.law}][${C.end_punctuation}][${C.start_punctuation}]`,
  `[${C.currency}${C.numeric}${C.box}][${C.start_punctuation}]`,
  `[a-z][${C.upper_accented}][${C.start_punctuation}${C.currency}]`,
  `[${C.box}][${C.kaomoji}]`,
  `[${C.lower_accented}${C.upper_accented}${C.currency}${C.numeric}${C.start_punctuation}${C.end_punctuation}${C.law}][${C.box}]`,
  `[${C.box}][${C.end_punctuation}]`,
  `[${C.lower_accented}${C.upper_accented}][${C.start_punctuation}${C.end_punctuation}]${W}`,
  // The ligature œ when not followed by an unaccented Latin letter.
  `[Œœ][^A-Za-z]`,
  // Degree signs after capital letters.
  `[${C.upper_accented}]°`,
  // Two-character Windows-1252 mojibake that the cases above do not cover.
  `[ÂÃÎÐ][€œŠš¢£Ÿž\\xa0\\xad®©°·»${C.start_punctuation}${C.end_punctuation}\\u2013\\u2014´]`,
  `×[²³]`,
  // Windows-1252 mojibake of Arabic needs the common characters too, so four are required.
  `[ØÙ][${C.common}${C.currency}${C.bad}${C.numeric}${C.start_punctuation}ŸŠ®°µ»]` +
    `[ØÙ][${C.common}${C.currency}${C.bad}${C.numeric}${C.start_punctuation}ŸŠ®°µ»]`,
  // Windows-1252 mojibake of some South Asian alphabets.
  `à[²µ¹¼½¾]`,
  // MacRoman mojibake.
  `√[±∂†≠®™´≤≥¥µø]`,
  `≈[°¢]`,
  `‚Ä[ìîïòôúùû†°¢π]`,
  `‚[âó][àä°ê]`,
  // Windows-1251 mojibake of U+2000 and after; of Latin-1 and Cyrillic; of both in turn.
  `вЂ`,
  `[ВГРС][${C.c1}${C.bad}${C.start_punctuation}${C.end_punctuation}${C.currency}°µ][ВГРС]`,
  `ГўВЂВ[^\\n][A-Za-z ]`,
  // Windows-1252 encodings of à, á and U+00A0 itself.
  `Ã[\\xa0¡]`,
  `[a-z]${S}?[ÃÂ][ ]`,
  `^[ÃÂ][ ]`,
  // Â before a character that it encodes as itself.
  `[a-z.,?!${C.end_punctuation}]Â[ ${C.start_punctuation}${C.end_punctuation}]`,
  // Windows-1253 mojibake of U+2000 and after; of Latin-1 and Greek.
  `β€[™\\xa0Ά\\xad®°]`,
  `[ΒΓΞΟ][${C.c1}${C.bad}${C.start_punctuation}${C.end_punctuation}${C.currency}°][ΒΓΞΟ]`,
  // Windows-1257 mojibake of U+2000 and after.
  `ā€`,
];

const BADNESS = new RegExp(PATTERNS.join('|'), 'u');

/** True when the text looks like mojibake (ftfy's `is_bad`). */
export function isBad(text: string): boolean {
  return BADNESS.test(text);
}
