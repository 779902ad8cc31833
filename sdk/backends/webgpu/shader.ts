/** What a kernel is specialised by: `const` lines put before it. Whole numbers become u32. */
export type Constants = Readonly<Record<string, number | boolean>>;

/** WGSL sources by file name, without the folder and `.wgsl`. */
export type KernelSources = Readonly<Record<string, string>>;

/**
 * A complete WGSL module: constants, then the files in order; with `unroll`, loops marked so are
 * written out. Compilers that guard loops against running forever (Metal, by way of Tint and WebKit) do not
 * unroll them, and arrays indexed by such a loop then live in memory instead of registers. A CPU that
 * plays a GPU would spend minutes compiling them written out, and gain nothing.
 */
export function specialise(
  sources: KernelSources,
  files: readonly string[],
  constants: Constants,
  options: { unroll: boolean },
): string {
  const lines = Object.entries(constants).map(
    ([name, value]) => `const ${name} = ${typeof value === 'number' ? `${value}u` : value};`,
  );
  const bodies = files.map((file) => {
    const source = sources[file];
    if (source === undefined) throw new Error(`kernel file ${file}.wgsl is missing`);
    return source;
  });
  const joined = bodies.join('\n');
  const body = options.unroll ? unroll(joined, constants) : joined;
  // Directives come before anything else.
  const code = body.replace(/\/\/.*/g, '');
  const enable = [
    ...(/\bf16\b/.test(code) ? ['enable f16;'] : []),
    ...(/@builtin\(subgroup/.test(code) ? ['enable subgroups;'] : []),
  ];
  return [...enable, ...lines, body].join('\n');
}

const LOOP = /for \(var (\w+) = 0u; \1 < (\w+); \1\+\+\) \{ ?\/\/ ?@unroll/;

function unroll(source: string, constants: Constants): string {
  const loop = LOOP.exec(source);
  if (!loop) return source;
  const [head, variable, bound] = loop;
  const count = constants[bound];
  if (typeof count !== 'number')
    throw new Error(`the bound ${bound} of an unrolled loop is unknown`);
  const begin = loop.index + head.length;
  const end = closingBrace(source, begin);
  const body = unroll(source.slice(begin, end), constants);
  const copies = Array.from({ length: count }, (_, i) => `{ const ${variable} = ${i}u;${body}}`);
  return source.slice(0, loop.index) + copies.join('\n') + unroll(source.slice(end + 1), constants);
}

/** Index of the brace that closes the block whose inside starts at `from`. */
function closingBrace(source: string, from: number): number {
  let depth = 1;
  for (let i = from; i < source.length; i++) {
    if (source.startsWith('//', i)) i = source.indexOf('\n', i);
    else if (source[i] === '{') depth++;
    else if (source[i] === '}' && --depth === 0) return i;
  }
  throw new Error('an unrolled loop does not end');
}
