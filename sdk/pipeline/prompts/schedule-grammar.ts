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
  /** Brackets already tried, so that unbalanced ones cost linear time. */
  const tried = new Map<number, Parsed | undefined>();

  /** One emphasised, switch, alternate or plain part. */
  function part(at: number, depth: number): Parsed | undefined {
    const first = text[at];
    if (first !== '(' && first !== '[') {
      PLAIN.lastIndex = at;
      const plain = PLAIN.exec(text);
      return plain ? { nodes: [plain[0]], end: PLAIN.lastIndex } : undefined;
    }
    if (!tried.has(at)) tried.set(at, first === '(' ? round(at, depth) : square(at, depth));
    return tried.get(at);
  }

  /** As many parts as there are; maybe none. */
  function prompt(at: number, depth: number): Parsed {
    const nodes: ScheduleNode[] = [];
    while (depth < MAX_DEPTH) {
      const found = part(at, depth + 1);
      if (!found) break;
      for (const node of found.nodes) nodes.push(node);
      at = found.end;
    }
    return { nodes, end: at };
  }

  function round(at: number, depth: number): Parsed | undefined {
    const first = prompt(at + 1, depth);
    const nodes = ['(', ...first.nodes];
    let end = first.end;
    if (text[end] === ':') {
      const second = prompt(end + 1, depth);
      nodes.push(':', ...second.nodes);
      end = second.end;
    }
    if (text[end] !== ')') return undefined;
    return { nodes: [...nodes, ')'], end: end + 1 };
  }

  function square(at: number, depth: number): Parsed | undefined {
    const first = prompt(at + 1, depth);
    switch (text[first.end]) {
      case ']':
        return { nodes: ['[', ...first.nodes, ']'], end: first.end + 1 };
      case '|':
        return alternate(first, depth);
      case ':':
        return change(first, depth);
      default:
        return undefined;
    }
  }

  function alternate(first: Parsed, depth: number): Parsed | undefined {
    const options = [first.nodes];
    let end = first.end;
    while (text[end] === '|') {
      const option = prompt(end + 1, depth);
      options.push(option.nodes);
      end = option.end;
    }
    if (text[end] !== ']') return undefined;
    return { nodes: [{ kind: 'alternate', options }], end: end + 1 };
  }

  /** A switch. */
  function change(first: Parsed, depth: number): Parsed | undefined {
    const short = when(first.end + 1);
    if (short) return switchNode([], first.nodes, short);
    const second = prompt(first.end + 1, depth);
    const long = text[second.end] === ':' ? when(second.end + 1) : undefined;
    return long && switchNode(first.nodes, second.nodes, long);
  }

  /** `NUMBER "]"` */
  function when(at: number): { when: string; end: number } | undefined {
    NUMBER.lastIndex = at;
    const match = NUMBER.exec(text);
    return match ? { when: match[1], end: NUMBER.lastIndex } : undefined;
  }

  const nodes: ScheduleNode[] = [];
  let at = 0;
  while (at < text.length) {
    const found = part(at, 0);
    if (found) {
      for (const node of found.nodes) nodes.push(node);
      at = found.end;
    } else if ('()[]:'.includes(text[at])) nodes.push(text[at++]);
    else return undefined;
  }
  return nodes;
}

function switchNode(
  before: ScheduleNode[],
  after: ScheduleNode[],
  { when, end }: { when: string; end: number },
): Parsed {
  return { nodes: [{ kind: 'switch', before, after, when }], end };
}
