// Shortens WGSL for the bundle. Files are joined in many ways, so a name that others may use (a function,
// a type, a binding, a member) is the same in all of them; names inside a function begin anew with `a`.

const LOWER = [...'abcdefghijklmnopqrstuvwxyz'];
const UPPER = LOWER.map((letter) => letter.toUpperCase());
/** WGSL's own words of two letters. */
const KEYWORDS = ['as', 'do', 'fn', 'if'];
/** `v.x` is a component, whatever members there are. */
const COMPONENTS = [...'xyzwrgba'];
/** Constants in capitals come from the engine. */
const CAPITALS = /^[A-Z\d_]+$/;

function* shortNames(letters, taken) {
  for (const first of ['', ...letters])
    for (const letter of letters) if (!taken.includes(first + letter)) yield first + letter;
}

/** A short name for each of `names`, the most frequent in `text` first. */
function shorten(names, text, letters, taken) {
  const uses = new Map(names.map((name) => [name, 0]));
  for (const [word] of text.matchAll(/\b[A-Za-z_]\w*/g))
    if (uses.has(word)) uses.set(word, uses.get(word) + 1);
  const short = shortNames(letters, taken);
  const byUse = [...uses].sort(([, a], [, b]) => b - a);
  return new Map(byUse.map(([name]) => [name, short.next().value]));
}

const firstGroups = (text, pattern) => [...text.matchAll(pattern)].map((match) => match[1]);

/**
 * WGSL by file name, without comments (but for the marks that the engine reads), white space and long
 * names; entry points keep theirs. Relies on the format of this folder's files: a line begins with `}`
 * only where a function or struct ends.
 */
export function minifyKernels(sources) {
  const files = Object.entries(sources).map(([name, text]) => [
    name,
    text.replace(/ *\/\/(?! ?@).*/g, ''),
  ]);
  const all = files.map(([, text]) => text).join('\n');
  const entries = firstGroups(all, /^@compute [^]*?fn (\w+)/gm);
  const declared = /^(?:@.* )?(?:fn|struct|alias|const|var(?:<.*>)?) (\w+)/gm;
  const globals = firstGroups(all, declared).filter(
    (name) => !entries.includes(name) && !CAPITALS.test(name),
  );
  const global = shorten(globals, all, UPPER, firstGroups(all, /\b([A-Z\d_]+)\b/g));
  const structs = firstGroups(all, /^struct \w+ \{([^]*?)^\}/gm).join('');
  const member = shorten(firstGroups(structs, /(\w+): /g), all, LOWER, [
    ...KEYWORDS,
    ...COMPONENTS,
  ]);

  const rename = (text) => {
    /** Of the function that the words are in. */
    let local;
    let short;
    let isStruct = false;
    const begin = (keyword) => {
      isStruct = keyword === 'struct ';
      local = keyword === 'fn ' ? new Map() : undefined;
      short = shortNames(LOWER, KEYWORDS);
    };
    const token = /^\}|(?<![\w@])(fn |struct |let |var )?\b([A-Za-z_]\w*)(: )?/gm;
    return text.replace(token, (whole, keyword = '', name, colon = '', at) => {
      if (whole === '}' || keyword === 'fn ' || keyword === 'struct ') begin(keyword);
      else if (local && (keyword || colon) && !local.has(name)) local.set(name, short.next().value);
      const isMember = text[at - 1] === '.' || (isStruct && colon !== '');
      const to = isMember ? member.get(name) : (local?.get(name) ?? global.get(name));
      return to ? keyword + to + colon : whole;
    });
  };
  return Object.fromEntries(files.map(([name, text]) => [name, squeeze(rename(text))]));
}

// Two signs that stand apart (`- -1`, `> =`) would become another one.
const squeeze = (text) =>
  text
    .replace(/^(?!.*\/\/).*$/gm, (line) => line.replace(/\s*([{}()[\];:,<>=+\-*/%&|!])\s*/g, '$1'))
    .replace(/\s*\n\s*/g, '\n')
    .replace(/([{}(;,])\n/g, '$1')
    .trim();
