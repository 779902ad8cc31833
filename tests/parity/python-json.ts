const WORDS: Readonly<Record<string, number>> = { NaN, Infinity, '-Infinity': -Infinity };
const MARK = '\u0000';

/** Parses JSON as Python writes it, where NaN and ±Infinity stand bare. */
export function parsePythonJson(text: string): unknown {
  const bare = /([[,:]\s*)(NaN|-?Infinity)(?=\s*[\],}])/g;
  // Twice, since neighbours share their comma.
  const quoted = [1, 2].reduce((json) => json.replace(bare, '$1"\\u0000$2"'), text);
  return JSON.parse(quoted, (_key, value: unknown) =>
    typeof value === 'string' && value.startsWith(MARK) ? (WORDS[value.slice(1)] ?? value) : value,
  );
}
