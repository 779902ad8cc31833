const WORDS: Readonly<Record<string, number>> = { NaN, Infinity, '-Infinity': -Infinity };
const MARK = '\u0000';

/** Parses JSON as Python writes it, where NaN and ±Infinity stand bare. */
export function parsePythonJson(text: string): unknown {
  const stringOrBare = /"(?:[^"\\]|\\.)*"|-?Infinity|NaN/g;
  const quoted = text.replace(stringOrBare, (found) =>
    found.startsWith('"') ? found : `"\\u0000${found}"`,
  );
  return JSON.parse(quoted, (_key, value: unknown) =>
    typeof value === 'string' && value.startsWith(MARK) ? (WORDS[value.slice(1)] ?? value) : value,
  );
}
