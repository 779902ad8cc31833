import { SPACE } from '../../tokenizer/python-regex.ts';

// The grammar of scheduled prompts, which is that of A1111's prompt_parser.py:
//
//   start:      (prompt | one of ( ) [ ] :)*
//   prompt:     (emphasised | switch | alternate | plain)*
//   emphasised: "(" prompt ")" | "(" prompt ":" prompt ")" | "[" prompt "]"
//   switch:     "[" [prompt ":"] prompt ":" NUMBER "]"
//   alternate:  "[" prompt ("|" [prompt])+ "]"
//   plain:      characters other than \ [ ] ( ) : |, or a backslash and any character but a line break
//
// What follows a prompt inside brackets cannot itself begin a part of one, so each bracket reads in
// one way or none; a bracket that reads in none is a plain character, though at the outermost level only.

/** Plain text, a switch at a step, or alternatives taken in turn. */
export type ScheduleNode =
  | string
  | { kind: 'switch'; before: ScheduleNode[]; after: ScheduleNode[]; when: string }
  | { kind: 'alternate'; options: ScheduleNode[][] };

interface Parsed {
  nodes: ScheduleNode[];
  end: number;
}

const PLAIN = /(?:[^\\[\]():|]|\\[^\n])+/uy;
const NUMBER = new RegExp(
  `${SPACE}*([+-]?(?:[0-9]+(?:\\.[0-9]*)?|\\.[0-9]+)(?:[eE][+-]?[0-9]+)?)${SPACE}*\\]`,
  'uy',
);
/** Deeper brackets than this are not read as a schedule. */
const MAX_DEPTH = 1000;

/** The parts of a prompt, or undefined where the grammar cannot read it. */
export function parseSchedule(text: string): ScheduleNode[] | undefined {
  const parser = new Parser(text);
  const nodes: ScheduleNode[] = [];
  let at = 0;
  while (at < text.length) {
    const part = parser.part(at, 0);
    if (part) {
      for (const node of part.nodes) nodes.push(node);
      at = part.end;
    } else if ('()[]:'.includes(text[at])) nodes.push(text[at++]);
    else return undefined;
  }
  return nodes;
}

class Parser {
  readonly #text: string;
  /** Brackets already tried, so that unbalanced ones cost linear time. */
  readonly #tried = new Map<number, Parsed | undefined>();

  constructor(text: string) {
    this.#text = text;
  }

  /** One emphasised, switch, alternate or plain part. */
  part(at: number, depth: number): Parsed | undefined {
    const first = this.#text[at];
    if (first !== '(' && first !== '[') {
      PLAIN.lastIndex = at;
      const plain = PLAIN.exec(this.#text);
      return plain ? { nodes: [plain[0]], end: PLAIN.lastIndex } : undefined;
    }
    if (!this.#tried.has(at)) {
      const bracket = first === '(' ? this.#round(at, depth) : this.#square(at, depth);
      this.#tried.set(at, bracket);
    }
    return this.#tried.get(at);
  }

  /** As many parts as there are; maybe none. */
  #prompt(at: number, depth: number): Parsed {
    const nodes: ScheduleNode[] = [];
    while (depth < MAX_DEPTH) {
      const part = this.part(at, depth + 1);
      if (!part) break;
      for (const node of part.nodes) nodes.push(node);
      at = part.end;
    }
    return { nodes, end: at };
  }

  #round(at: number, depth: number): Parsed | undefined {
    const first = this.#prompt(at + 1, depth);
    const nodes = ['(', ...first.nodes];
    let end = first.end;
    if (this.#text[end] === ':') {
      const second = this.#prompt(end + 1, depth);
      nodes.push(':', ...second.nodes);
      end = second.end;
    }
    if (this.#text[end] !== ')') return undefined;
    return { nodes: [...nodes, ')'], end: end + 1 };
  }

  #square(at: number, depth: number): Parsed | undefined {
    const first = this.#prompt(at + 1, depth);
    switch (this.#text[first.end]) {
      case ']':
        return { nodes: ['[', ...first.nodes, ']'], end: first.end + 1 };
      case '|':
        return this.#alternate(first, depth);
      case ':':
        return this.#switch(first, depth);
      default:
        return undefined;
    }
  }

  #alternate(first: Parsed, depth: number): Parsed | undefined {
    const options = [first.nodes];
    let end = first.end;
    while (this.#text[end] === '|') {
      const option = this.#prompt(end + 1, depth);
      options.push(option.nodes);
      end = option.end;
    }
    if (this.#text[end] !== ']') return undefined;
    return { nodes: [{ kind: 'alternate', options }], end: end + 1 };
  }

  #switch(first: Parsed, depth: number): Parsed | undefined {
    const short = this.#when(first.end + 1);
    if (short) return switchNode([], first.nodes, short);
    const second = this.#prompt(first.end + 1, depth);
    const long = this.#text[second.end] === ':' ? this.#when(second.end + 1) : undefined;
    return long && switchNode(first.nodes, second.nodes, long);
  }

  /** `NUMBER "]"` */
  #when(at: number): { when: string; end: number } | undefined {
    NUMBER.lastIndex = at;
    const match = NUMBER.exec(this.#text);
    return match ? { when: match[1], end: NUMBER.lastIndex } : undefined;
  }
}

function switchNode(
  before: ScheduleNode[],
  after: ScheduleNode[],
  { when, end }: { when: string; end: number },
): Parsed {
  return { nodes: [{ kind: 'switch', before, after, when }], end };
}
