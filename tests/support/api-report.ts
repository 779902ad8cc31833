// `npm run api`: writes the public interface as it was built, without its comments, for review.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

export const API_REPORT = 'sdk/api-report.md';
/** Entry of the package → its types. */
const ENTRIES = {
  '.': 'index',
  './element': 'element',
  './parameters': 'parameters',
  './react': 'react',
};

/** The names of an import or export by the alphabet: the bundler's order follows that of our imports. */
const sorted = (statement: string): string =>
  statement.replace(/^((?:im|ex)port[^{]*\{ )(.*)( \})/, (_, open: string, names: string, close) =>
    [open, names.split(', ').sort().join(', '), close].join(''),
  );

export function apiReport(dist: string): string {
  const printer = ts.createPrinter({ removeComments: true });
  const sections = Object.entries(ENTRIES).map(([entry, name]) => {
    const text = readFileSync(join(dist, `${name}.d.ts`), 'utf8');
    const source = ts.createSourceFile(`${name}.d.ts`, text, ts.ScriptTarget.Latest);
    const statements = source.statements.map((statement) =>
      sorted(printer.printNode(ts.EmitHint.Unspecified, statement, source)),
    );
    return `## \`${entry}\`\n\n\`\`\`ts\n${statements.sort().join('\n')}\n\`\`\`\n`;
  });
  const intro =
    'Written by `npm run api` from the types that were built, without their comments. A test fails where\n' +
    'they differ: whoever changes the interface accepts the change here, where a reviewer sees it.\n' +
    '`./inline` has the types of `.`.\n';
  return ['# The public interface\n', intro, ...sections].join('\n');
}

if (process.argv[1] === fileURLToPath(import.meta.url))
  writeFileSync(API_REPORT, apiReport('dist'));
