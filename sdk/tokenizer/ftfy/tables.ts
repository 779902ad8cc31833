// Made by tests/reference/ftfy_tables.py; do not edit.
// From ftfy 6.3.1, Copyright 2023 Robyn Speer, Apache License 2.0 (see LICENSE in this folder).

/** ftfy's MOJIBAKE_CATEGORIES, as members of a character class. */
export const CATEGORY = {
  common: '\xa0\xad´·\u2013\u2014\u2015\u2019\u2026',
  c1: '\x80-\x9f',
  bad: '¤¦¨ª¬¯¸ºƒˆˇ˘˛˜\u2020\u2021\u2030⌐◊\ufffd',
  law: '§¶',
  currency: '¢£¥\u20a7\u20ac',
  start_punctuation: '¡©«¿΄΅\u2018\u201a\u201c\u201e\u2022\u2039\uf8ff',
  end_punctuation: '®»˝\u201d\u203a™',
  numeric: '±²³µ¹¼½¾×÷\u2044№∂∆∏∑√∞∩∫≈≠≡≤≥',
  kaomoji: '°Ò-ÖÙ-Üò-öø-üŌŐŪŲ',
  upper_accented: 'À-ÑØÜÝĀĂĄĆČĎĐĒĖĘĚĞĢĪİĶĹĻĽŁŃŅŇŒŘŚŞŠŢŤŮŰŸŹŻŽҐ',
  lower_accented: 'ß-ñüāăąćčďđēėęěğģīįķĺļľłœŕśşšťźżžґ\ufb01\ufb02',
  upper_common: 'ÞΆΈΉΊΌΎΏΑ-ΫЁ-Я',
  lower_common: 'ά-ωа-џ',
  box: '│┌┐┘├┤┬┼═-╬▀▄█▌▐-▓',
};

/** ftfy's UTF8_CLUES, as members of a character class. */
export const CLUE = {
  utf8_first_of_2: 'Â-ßĀĂĆČĎĐĒĖĘĚĞĢĪİĶĹĻŁŃŅŇŌŐŘŚŞŠŢŪŮŰŲŹŻŽΒ-ΡΣ-ίВ-Я',
  utf8_first_of_3: 'à-ïāăąćčďēėęěģīįķĺļŕźΰ-οа-п',
  utf8_first_of_4: 'ðóđğšπσру',
  utf8_continuation:
    ' \x80-¿ÆØæøĄąĽľŁłŒœŖŗŚśŞ-šŤťŸ-žƒˆˇ˘˛˜˝΄΅ΆΈΉΊΌΎΏЁ-ЌЎЏё-ќўџҐґ\u2013\u2014\u2015\u2018\u2019\u201a\u201c\u201d\u201e\u2020\u2021\u2022\u2026\u2030\u2039\u203a\u20ac№™',
  utf8_continuation_strict:
    '\x80-¿ÆØæøĄąĽľŁłŒœŖŗŚśŞ-šŤťŸ-žƒˆˇ˘˛˜˝΄΅ΆΈΉΊΌΎΏЁ-ЌЎЏё-ќўџҐґ\u2020\u2021\u2030\u2039\u203a\u20ac№™',
};

/** What bytes 0x80 … 0xFF stand for in the encoding that browsers do not know. */
export const CP437 =
  'ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥\u20a7ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√\u207f²■\xa0';

/** Latin ligatures and digraphs → letters. */
export const LIGATURES: Record<string, string> = {
  Ĳ: 'IJ',
  ĳ: 'ij',
  ŉ: 'ʼn',
  Ǳ: 'DZ',
  ǲ: 'Dz',
  ǳ: 'dz',
  Ǆ: 'DŽ',
  ǅ: 'Dž',
  ǆ: 'dž',
  Ǉ: 'LJ',
  ǈ: 'Lj',
  ǉ: 'lj',
  Ǌ: 'NJ',
  ǋ: 'Nj',
  ǌ: 'nj',
  '\ufb00': 'ff',
  '\ufb01': 'fi',
  '\ufb02': 'fl',
  '\ufb03': 'ffi',
  '\ufb04': 'ffl',
  '\ufb05': 'ſt',
  '\ufb06': 'st',
};
