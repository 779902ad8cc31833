/** A JSON value whose objects are Maps: a key can neither repeat nor reach a prototype. */
export type StrictJson =
  string | number | boolean | null | readonly StrictJson[] | ReadonlyMap<string, StrictJson>;

export interface StrictJsonLimits {
  /** Nesting of arrays and objects. */
  readonly depth: number;
  /** Keys and array items in all. */
  readonly items: number;
}

const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;
const SPACE = /[ \t\n\r]*/y;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const WORDS = Object.entries({ true: true, false: false, null: null });

/**
 * Parses RFC 8259 JSON from untrusted bytes. `JSON.parse` keeps the last of two equal keys in
 * silence and its recursion has no bound, so weight headers are read with this.
 * @throws SyntaxError with the reason and the offset.
 */
export function parseStrictJson(text: string, limits: StrictJsonLimits): StrictJson {
  let at = 0;
  let items = 0;

  function fail(reason: string): never {
    throw new SyntaxError(`${reason} at offset ${at}`);
  }

  /** What the pattern finds here, and goes past it. */
  function match(pattern: RegExp): string | undefined {
    pattern.lastIndex = at;
    const found = pattern.exec(text)?.[0];
    at += found?.length ?? 0;
    return found;
  }

  const space = () => match(SPACE);

  function value(depth: number): StrictJson {
    if (depth > limits.depth) fail('nested too deeply');
    const first = text[at];
    if (first === '{') return object(depth);
    if (first === '[') return array(depth);
    if (first === '"') return string();
    for (const [word, meant] of WORDS)
      if (text.startsWith(word, at)) {
        at += word.length;
        return meant;
      }
    return Number(match(NUMBER) ?? fail('a value was expected'));
  }

  function object(depth: number): ReadonlyMap<string, StrictJson> {
    const entries = new Map<string, StrictJson>();
    list('}', () => {
      if (text[at] !== '"') fail('a key was expected');
      const key = string();
      if (entries.has(key)) fail(`duplicate key ${JSON.stringify(key.slice(0, 200))}`);
      space();
      if (text[at++] !== ':') fail('a colon was expected');
      space();
      entries.set(key, value(depth + 1));
    });
    return entries;
  }

  function array(depth: number): readonly StrictJson[] {
    const values: StrictJson[] = [];
    list(']', () => values.push(value(depth + 1)));
    return values;
  }

  /** Items between the bracket at hand and `close`. */
  function list(close: string, item: () => void): void {
    at++;
    space();
    if (text[at] === close) {
      at++;
      return;
    }
    for (;;) {
      if (++items > limits.items) fail('too many items');
      item();
      space();
      const next = text[at++];
      if (next === close) return;
      if (next !== ',') fail(`',' or '${close}' was expected`);
      space();
    }
  }

  /** From the quote at hand. */
  function string(): string {
    const begin = at;
    let escaped = false;
    for (let i = begin + 1; i < text.length; i++) {
      const code = text.charCodeAt(i);
      if (code === QUOTE) {
        at = i + 1;
        return escaped ? unescaped(begin) : text.slice(begin + 1, i);
      }
      if (code < 0x20) fail('a control character in a string');
      if (code === BACKSLASH) {
        escaped = true;
        i++;
      }
    }
    return fail('a string without an end');
  }

  function unescaped(begin: number): string {
    try {
      return JSON.parse(text.slice(begin, at)) as string;
    } catch {
      return fail('a bad escape in a string');
    }
  }

  space();
  const root = value(0);
  space();
  if (at < text.length) fail('text after the end');
  return root;
}
