import { invalid } from './checks.ts';

const SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
/** Longest text that is read, in bytes: A1111's are a few kilobytes. */
const LONGEST = 1 << 20;

interface Chunk {
  readonly type: string;
  /** Where the whole chunk begins and ends in the file. */
  readonly start: number;
  readonly end: number;
  readonly data: Uint8Array;
}

/**
 * Reads the texts of a PNG: `tEXt` chunks and uncompressed `iTXt` chunks, by keyword; the first of
 * several wins. What is malformed, compressed, or longer than a mebibyte is left out; a file that
 * breaks off gives what came before.
 * @throws SDError `INVALID_OPTION` where it is not a PNG
 */
export function readPngText(png: Uint8Array): Map<string, string> {
  const texts = new Map<string, string>();
  for (const { type, data } of chunks(png)) {
    if ((type !== 'tEXt' && type !== 'iTXt') || data.length > LONGEST) continue;
    const keywordEnd = data.indexOf(0);
    if (keywordEnd < 1 || keywordEnd > 79) continue;
    const keyword = latin1(data.subarray(0, keywordEnd));
    const text =
      type === 'tEXt' ? latin1(data.subarray(keywordEnd + 1)) : international(data, keywordEnd + 1);
    if (text !== undefined && !texts.has(keyword)) texts.set(keyword, text);
  }
  return texts;
}

/**
 * A PNG with a text under `keyword`, in place of any that stood there. Latin-1 becomes a `tEXt`
 * chunk, anything else `iTXt` in UTF-8, as Pillow and A1111 write it; it goes before the pixels.
 * @param keyword 1 to 79 characters of Latin-1
 * @throws SDError `INVALID_OPTION` where it is not a PNG, or the keyword cannot be one
 */
export function writePngText(
  png: Uint8Array,
  text: string,
  keyword = 'parameters',
): Uint8Array<ArrayBuffer> {
  if (!/^[\x20-\x7e\xa1-\xff]{1,79}$/.test(keyword))
    throw invalid(`${JSON.stringify(keyword)} cannot be the keyword of a text in a PNG.`);
  const all = [...chunks(png)];
  if (all[0]?.type !== 'IHDR') throw invalid('This PNG does not begin with its header.');
  const isOld = ({ type, data }: Chunk): boolean =>
    (type === 'tEXt' || type === 'iTXt' || type === 'zTXt') &&
    data.indexOf(0) === keyword.length &&
    latin1(data.subarray(0, keyword.length)) === keyword;
  const kept = all.slice(1).filter((chunk) => !isOld(chunk));
  const parts = [
    png.subarray(0, all[0].end),
    textChunk(keyword, text),
    ...kept.map(({ start, end }) => png.subarray(start, end)),
  ];
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

function* chunks(png: Uint8Array): Generator<Chunk> {
  if (!SIGNATURE.every((byte, i) => png[i] === byte)) throw invalid('This file is not a PNG.');
  const view = new DataView(png.buffer, png.byteOffset, png.byteLength);
  let start = SIGNATURE.length;
  while (start + 12 <= png.length) {
    const length = view.getUint32(start);
    const end = start + 12 + length;
    if (end > png.length) return;
    const type = latin1(png.subarray(start + 4, start + 8));
    const data = png.subarray(start + 8, start + 8 + length);
    yield { type, start, end, data };
    if (type === 'IEND') return;
    start = end;
  }
}

/** The text of an `iTXt` chunk after its keyword: compression flag and method, language, translation. */
function international(data: Uint8Array, at: number): string | undefined {
  if (data[at] !== 0) return undefined;
  const languageEnd = data.indexOf(0, at + 2);
  const translationEnd = languageEnd < 0 ? -1 : data.indexOf(0, languageEnd + 1);
  if (translationEnd < 0) return undefined;
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(data.subarray(translationEnd + 1));
  } catch {
    return undefined;
  }
}

function textChunk(keyword: string, text: string): Uint8Array {
  const isLatin = [...text].every((char) => char > '\0' && char <= '\xff');
  const head = isLatin ? [0] : [0, 0, 0, 0, 0];
  const body = isLatin ? bytesOf(text) : new TextEncoder().encode(text);
  const length = keyword.length + head.length + body.length;
  const chunk = new Uint8Array(12 + length);
  const view = new DataView(chunk.buffer);
  view.setUint32(0, length);
  chunk.set(bytesOf(isLatin ? 'tEXt' : 'iTXt'), 4);
  chunk.set(bytesOf(keyword), 8);
  chunk.set(head, 8 + keyword.length);
  chunk.set(body, 8 + keyword.length + head.length);
  view.setUint32(8 + length, crc32(chunk.subarray(4, 8 + length)));
  return chunk;
}

/** Not TextDecoder's "latin1", which is windows-1252. */
function latin1(bytes: Uint8Array): string {
  let text = '';
  // In pieces: a call takes only so many arguments.
  for (let i = 0; i < bytes.length; i += 4096)
    text += String.fromCharCode(...bytes.subarray(i, i + 4096));
  return text;
}

function bytesOf(text: string): Uint8Array {
  return Uint8Array.from(text, (char) => char.charCodeAt(0));
}

function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return (crc ^ 0xffffffff) >>> 0;
}
