import { WINDOWS_1252 } from './code-pages.ts';
import { ENTITIES } from './entities.ts';

/** Name → characters, and the names that also count without their semicolon. */
let names: Map<string, string> | undefined;
const bare = new Set<string>();

/** Alphabets of mathematics by the end of their letters' names, and where in Unicode each begins. */
const ALPHABETS = { scr: 0x1d49c, fr: 0x1d504, opf: 0x1d538 };

function entities(): Map<string, string> {
  if (names) return names;
  const all = (names = new Map<string, string>());
  const add = (name: string, text: string) => all.has(name) || all.set(name, text);
  let code = 0;
  for (const entry of ENTITIES.split(',')) {
    const [codes, ...labels] = entry.split(' ');
    const [step, second] = codes.split('+');
    code += step === '' ? 1 : Number.parseInt(step, 36);
    const text = String.fromCodePoint(code, ...(second ? [Number.parseInt(second, 36)] : []));
    for (const label of labels) {
      const name = label.replace('!', '');
      if (name !== label) bare.add(name);
      add(name, text);
    }
  }
  // `eacute` from `Eacute`.
  for (const [name, text] of [...all]) {
    const lower = text.toLowerCase();
    if (!/^[A-Z][a-z]/.test(name) || lower === text || lower.length > 1) continue;
    const small = name[0].toLowerCase() + name.slice(1);
    if (bare.has(name)) bare.add(small);
    add(small, lower);
  }
  all.delete('gcedil'); // ģ has no name
  for (const [suffix, first] of Object.entries(ALPHABETS))
    for (let i = 0; i < 52; i++)
      add(String.fromCharCode(i < 26 ? 65 + i : 71 + i) + suffix, String.fromCodePoint(first + i));
  return all;
}

/** Python's `html.unescape`: HTML5's rules, names without semicolon included. */
export function htmlUnescape(text: string): string {
  return text.replace(
    /&(?:#([0-9]+);?|#[xX]([0-9a-fA-F]+);?|([^\t\n\f <&#;]{1,32})(;?))/gu,
    (match, decimal?: string, hexadecimal?: string, name?: string, semicolon?: string) => {
      if (decimal !== undefined) return numericReference(Number.parseInt(decimal, 10));
      if (hexadecimal !== undefined) return numericReference(Number.parseInt(hexadecimal, 16));
      return namedReference(name as string, semicolon as string) ?? match;
    },
  );
}

function namedReference(name: string, semicolon: string): string | undefined {
  const all = entities();
  if (all.has(name) && (semicolon !== '' || bare.has(name))) return all.get(name);
  // The longest name that is a prefix; without its semicolon, so one of the bare ones.
  for (let length = name.length - (semicolon === '' ? 1 : 0); length > 1; length--) {
    const prefix = name.slice(0, length);
    if (bare.has(prefix)) return all.get(prefix) + name.slice(length) + semicolon;
  }
  return undefined;
}

function numericReference(code: number): string {
  if (code === 0) return '\ufffd';
  if (code >= 0x80 && code <= 0x9f) return WINDOWS_1252[code - 0x80];
  if ((code >= 0xd800 && code <= 0xdfff) || code > 0x10ffff) return '\ufffd';
  const isControl = code < 0x20 && ![0x09, 0x0a, 0x0c, 0x0d].includes(code);
  const isNoncharacter = (code >= 0xfdd0 && code <= 0xfdef) || (code & 0xfffe) === 0xfffe;
  if (isControl || code === 0x7f || isNoncharacter) return '';
  return String.fromCodePoint(code);
}

/** ftfy's `unescape_html`: only references with their semicolon, and some names in capitals too. */
export function unescapeHtml(text: string): string {
  return text.replace(/&#?[0-9A-Za-z]{1,24};/g, (match) => {
    if (match.startsWith('&#')) {
      const unescaped = htmlUnescape(match);
      return unescaped.includes(';') ? match : unescaped;
    }
    const name = match.slice(1, -1);
    return entities().get(name) ?? upperCased(name) ?? match;
  });
}

/** `&NTILDE;` for `&ntilde;`, where HTML itself has no meaning for the capitals. */
function upperCased(name: string): string | undefined {
  const lower = name.toLowerCase();
  if (name !== lower.toUpperCase() || namedReference(name, ';') !== undefined) return undefined;
  return entities().get(lower)?.toUpperCase();
}
