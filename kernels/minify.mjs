// Shortens WGSL for the bundle. Files are joined in many ways, so a name that others may use (a function,
// a type, a binding, a member) is the same in all of them; one that belongs to a file with entry points, which
// are never joined, begins anew in it, and so do names inside a function: the less they differ from file to
// file, the better all of them compress.

const LOWER = [...'abcdefghijklmnopqrstuvwxyz'];
const UPPER = LOWER.map((letter) => letter.toUpperCase());
/** WGSL's own words of two letters. */
const KEYWORDS = ['as', 'do', 'fn', 'if'];
/** `v.x` is a component, whatever members there are. */
const COMPONENTS = [...'xyzwrgba'];
/** Constants in capitals come from the engine. */
const CAPITALS = /\b([A-Z\d_]+)\b/g;

function* shortNames(letters, taken) {
  for (const first of ['', ...letters])
    for (const letter of letters) if (!taken.includes(first + letter)) yield first + letter;
}

/** A short name for each of `names`. */
function shorten(names, letters, taken) {
  const short = shortNames(letters, taken);
  return new Map([...new Set(names)].map((name) => [name, short.next().value]));
}

/** The names with those first that `text` uses most. */
function byUse(names, text) {
  const uses = new Map(names.map((name) => [name, 0]));
  for (const word of text.match(WORD)) if (uses.has(word)) uses.set(word, uses.get(word) + 1);
  return [...uses].sort(([, a], [, b]) => b - a).map(([name]) => name);
}

const WORD = /\b[A-Za-z_]\w*/g;
const ENTRY = /^@compute [^]*?fn (\w+)/gm;
const DECLARED = /^(?:@.* )?(?:fn|struct|alias|const|var(?:<.*>)?) (\w+)/gm;
const STRUCT = /^struct \w+ \{([^]*?)^\}/gm;
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
  const kept = [...firstGroups(all, ENTRY), ...firstGroups(all, CAPITALS)];
  const globalsOf = (text) => firstGroups(text, DECLARED).filter((name) => !kept.includes(name));
  const membersOf = (text) => firstGroups(firstGroups(text, STRUCT).join(''), /(\w+): /g);
  const mentions = (text, name) => text.match(WORD).includes(name);

  const isOwn = (text, name) =>
    text.search(ENTRY) >= 0 && files.every(([, other]) => other === text || !mentions(other, name));
  const sharedGlobals = files.flatMap(([, text]) =>
    globalsOf(text).filter((name) => !isOwn(text, name)),
  );
  const shared = shorten(byUse(sharedGlobals, all), UPPER, kept);
  const fields = (text) => firstGroups(text, /\.(\w+)/g);
  // Of a struct that another file declares.
  const foreign = files.flatMap(([, text]) => {
    const own = membersOf(text);
    return fields(text).filter((name) => !own.includes(name));
  });
  const sharedMembers = byUse(
    membersOf(all).filter((name) => foreign.includes(name)),
    all,
  );
  const sharedMember = shorten(sharedMembers, LOWER, [...KEYWORDS, ...COMPONENTS]);

  const rename = (text) => {
    const own = globalsOf(text).filter((name) => !shared.has(name));
    const global = new Map([...shared, ...shorten(own, UPPER, [...kept, ...shared.values()])]);
    const taken = sharedMembers.filter((name) => mentions(text, name));
    const member = new Map([
      ...sharedMember,
      ...shorten(
        membersOf(text).filter((name) => !sharedMember.has(name)),
        LOWER,
        [...KEYWORDS, ...COMPONENTS, ...taken.map((name) => sharedMember.get(name))],
      ),
    ]);
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
    .replace(/,([)}\]])/g, '$1')
    .trim();
