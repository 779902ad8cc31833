/** A JSON value whose objects are Maps: a key can neither repeat nor reach a prototype. */
export type StrictJson =
  string | number | boolean | null | readonly StrictJson[] | ReadonlyMap<string, StrictJson>;

export interface StrictJsonLimits {
  /** Nesting of arrays and objects. */
  readonly depth: number;
  /** Keys and array items in all. */
  readonly items: number;
}

/**
 * Parses RFC 8259 JSON from untrusted bytes. `JSON.parse` keeps the last of two equal keys in
 * silence and its recursion has no bound, so weight headers are read with this.
 * @throws SyntaxError with the reason and the offset.
 */
export function parseStrictJson(text: string, limits: StrictJsonLimits): StrictJson {
  const parser = new Parser(text, limits);
  return parser.document();
}

const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const SPACE = /[ \t\n\r]*/y;
const WORDS = new Map<string, boolean | null>([
  ['true', true],
  ['false', false],
  ['null', null],
]);

class Parser {
  readonly #text: string;
  readonly #limits: StrictJsonLimits;
  #at = 0;
  #items = 0;

  constructor(text: string, limits: StrictJsonLimits) {
    this.#text = text;
    this.#limits = limits;
  }

  document(): StrictJson {
    this.#space();
    const value = this.#value(0);
    this.#space();
    if (this.#at < this.#text.length) this.#fail('text after the end');
    return value;
  }

  #value(depth: number): StrictJson {
    if (depth > this.#limits.depth) this.#fail('nested too deeply');
    const c = this.#text[this.#at];
    if (c === '{') return this.#object(depth);
    if (c === '[') return this.#array(depth);
    if (c === '"') return this.#string();
    for (const [word, value] of WORDS)
      if (this.#text.startsWith(word, this.#at)) {
        this.#at += word.length;
        return value;
      }
    return Number(this.#match(NUMBER, 'a value'));
  }

  #object(depth: number): ReadonlyMap<string, StrictJson> {
    const object = new Map<string, StrictJson>();
    this.#list('}', () => {
      if (this.#text[this.#at] !== '"') this.#fail('a key was expected');
      const key = this.#string();
      if (object.has(key)) this.#fail(`duplicate key ${JSON.stringify(key.slice(0, 200))}`);
      this.#space();
      if (this.#text[this.#at++] !== ':') this.#fail('a colon was expected');
      this.#space();
      object.set(key, this.#value(depth + 1));
    });
    return object;
  }

  #array(depth: number): readonly StrictJson[] {
    const array: StrictJson[] = [];
    this.#list(']', () => array.push(this.#value(depth + 1)));
    return array;
  }

  /** Items between the bracket at hand and `close`. */
  #list(close: string, item: () => void): void {
    this.#at++;
    this.#space();
    if (this.#text[this.#at] === close) {
      this.#at++;
      return;
    }
    for (;;) {
      if (++this.#items > this.#limits.items) this.#fail('too many items');
      item();
      this.#space();
      const next = this.#text[this.#at++];
      if (next === close) return;
      if (next !== ',') this.#fail(`',' or '${close}' was expected`);
      this.#space();
    }
  }

  #string(): string {
    const begin = this.#at;
    if (this.#text[begin] !== '"') this.#fail('a string was expected');
    let escaped = false;
    for (let i = begin + 1; i < this.#text.length; i++) {
      const code = this.#text.charCodeAt(i);
      if (code === QUOTE) {
        this.#at = i + 1;
        return escaped ? this.#unescape(begin) : this.#text.slice(begin + 1, i);
      }
      if (code < 0x20) this.#fail('a control character in a string');
      if (code === BACKSLASH) {
        escaped = true;
        i++;
      }
    }
    this.#fail('a string without an end');
  }

  #unescape(begin: number): string {
    try {
      return JSON.parse(this.#text.slice(begin, this.#at)) as string;
    } catch {
      this.#fail('a bad escape in a string');
    }
  }

  #space(): void {
    SPACE.lastIndex = this.#at;
    this.#at += SPACE.exec(this.#text)![0].length;
  }

  #match(pattern: RegExp, what: string): string {
    pattern.lastIndex = this.#at;
    const match = pattern.exec(this.#text);
    if (!match) this.#fail(`${what} was expected`);
    this.#at = pattern.lastIndex;
    return match[0];
  }

  #fail(reason: string): never {
    throw new SyntaxError(`${reason} at offset ${this.#at}`);
  }
}
