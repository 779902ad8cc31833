import { CP437 } from './tables.ts';

const latin1 = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, i) => String.fromCharCode(from + i)).join('');

const LATIN_1 = latin1(0x80, 0x100);

/** Spelled out: some releases of Node take Latin-1 for it. */
export const WINDOWS_1252 = '€\x81‚ƒ„…†‡ˆ‰Š‹Œ\x8dŽ\x8f\x90‘’“”•–—˜™š›œ\x9džŸ' + latin1(0xa0, 0x100);

const bytes = Uint8Array.from({ length: 128 }, (_, i) => 0x80 + i);

/** ftfy's "sloppy" encodings: what the encoding leaves open is taken from Latin-1. */
function read(label: string): string {
  const chars = [...new TextDecoder(label).decode(bytes)];
  return chars.map((char, i) => (char === '\ufffd' ? LATIN_1[i] : char)).join('');
}

/** What bytes 0x80 … 0xFF stand for in each encoding, in the order ftfy tries them. */
export const CODE_PAGES: Record<string, string> = {
  'latin-1': LATIN_1,
  'sloppy-windows-1252': WINDOWS_1252,
  'sloppy-windows-1251': read('windows-1251'),
  'sloppy-windows-1250': read('windows-1250'),
  'sloppy-windows-1253': read('windows-1253'),
  'sloppy-windows-1254': read('windows-1254'),
  'sloppy-windows-1257': read('windows-1257'),
  'iso-8859-2': read('iso-8859-2'),
  macroman: read('macintosh'),
  cp437: CP437,
};
