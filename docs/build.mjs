// `npm run docs`: the documentation as a site in build/site. The API reference comes from the sources'
// docstrings (TypeDoc); the tables of options, samplers and errors are written from the sources too,
// and what the sources do not say about an error stands in docs/errors.md.
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Application, Converter, PageEvent, ReflectionKind } from 'typedoc';
import { errorsPage, optionsPage, samplersPage } from './tables.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
export const SITE = join(root, 'build/site');
const WRITTEN = join(root, 'build/docs');

/** The package's entries, by what TypeDoc calls them: their path, and what they are imported as. */
const ENTRIES = {
  index: { path: 'sdk/index.ts', name: 'stable-diffusion-web' },
  element: { path: 'sdk/element/index.ts', name: 'stable-diffusion-web/element' },
  react: { path: 'sdk/react/index.ts', name: 'stable-diffusion-web/react' },
  parameters: { path: 'sdk/parameters.ts', name: 'stable-diffusion-web/parameters' },
};

/** The pages in the order of the menu; those in build/docs are written by this script. */
const PAGES = [
  'docs/guide/first-picture.md',
  'docs/guide/how-it-works.md',
  'docs/guide/element.md',
  'docs/guide/models.md',
  'docs/guide/frameworks.md',
  'docs/guide/headers.md',
  'docs/guide/self-hosting.md',
  'docs/guide/memory.md',
  'docs/guide/few-steps.md',
  'docs/guide/embed.md',
  'build/docs/options.md',
  'build/docs/samplers.md',
  'build/docs/errors.md',
  'docs/guide/browsers.md',
  'docs/guide/comparison.md',
];

function writePages() {
  rmSync(WRITTEN, { recursive: true, force: true });
  mkdirSync(WRITTEN, { recursive: true });
  const read = (path) => readFileSync(join(root, path), 'utf8');
  const pages = { options: optionsPage, samplers: samplersPage, errors: errorsPage };
  for (const [name, page] of Object.entries(pages))
    writeFileSync(join(WRITTEN, `${name}.md`), page(read));
}

/** What the theme lacks: landmarks, headings that skip no level, and no links inside of what folds. */
function accessible(html) {
  const open = [];
  return html
    .replace('<div class="col-content">', '<div class="col-content" role="main">')
    .replace(
      '<div class="page-menu">',
      '<div class="page-menu" role="complementary" aria-label="This page">',
    )
    .replace(/<summary[\s\S]*?<\/summary>/g, (summary) =>
      summary.replace(/<a [^>]*class="tsd-anchor-icon"[\s\S]*?<\/a>/g, ''),
    )
    .replace(/<h([1-6])([\s>][\s\S]*?)<\/h\1>/g, (_, level, rest) => {
      while (open.length > 0 && open.at(-1) >= Number(level)) open.pop();
      open.push(Number(level));
      return `<h${open.length}${rest}</h${open.length}>`;
    });
}

/**
 * Builds the site.
 * @returns what TypeDoc complained of: exports without a docstring, links to nowhere
 */
export async function build() {
  writePages();
  rmSync(SITE, { recursive: true, force: true });
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const app = await Application.bootstrap({
    name: 'stable-diffusion-web',
    readme: join(root, 'docs/guide/index.md'),
    entryPoints: Object.values(ENTRIES).map(({ path }) => join(root, path)),
    tsconfig: join(root, 'tsconfig.json'),
    projectDocuments: PAGES.map((path) => join(root, path)),
    sort: ['documents-first', 'alphabetical-ignoring-documents'],
    customCss: join(root, 'docs/theme.css'),
    customJs: join(root, 'docs/theme.js'),
    favicon: join(root, 'demos/01-text-to-picture/icon.svg'),
    navigation: { includeGroups: false, includeCategories: true, includeFolders: false },
    categorizeByGroup: false,
    defaultCategory: 'API',
    categoryOrder: ['Guide', 'Recipes', 'Reference', 'API', '*'],
    excludePrivate: true,
    excludeInternal: true,
    excludeExternals: true,
    disableSources: true,
    includeVersion: true,
    hideGenerator: true,
    lightHighlightTheme: 'light-plus',
    darkHighlightTheme: 'dark-plus',
    highlightLanguages: [
      'typescript',
      'javascript',
      'tsx',
      'svelte',
      'html',
      'css',
      'json',
      'shellscript',
      'nginx',
      'http',
    ],
    validation: { notExported: false, notDocumented: true, invalidLink: true, invalidPath: true },
    requiredToBeDocumented: ['Class', 'Interface', 'Function', 'TypeAlias', 'Variable', 'Enum'],
    skipErrorChecking: true,
  });
  const complaints = [];
  const { logger } = app;
  const log = logger.log.bind(logger);
  logger.log = (message, level) => {
    // Levels of TypeDoc: 2 is a warning, 3 an error.
    if (level >= 2) complaints.push(message);
    log(message, level);
  };
  app.converter.on(Converter.EVENT_RESOLVE_BEGIN, ({ project }) => {
    project.packageVersion = version;
    for (const module of project.getReflectionsByKind(ReflectionKind.Module))
      module.name = ENTRIES[module.name].name;
  });
  app.renderer.on(PageEvent.END, (page) => {
    page.contents = accessible(page.contents ?? '');
  });
  const project = await app.convert();
  if (!project) throw new Error('The sources cannot be documented: see above.');
  app.validate(project);
  await app.generateDocs(project, SITE);
  return complaints;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const complaints = await build();
  if (complaints.length > 0) process.exitCode = 1;
  else console.log('\nThe site is in build/site; `npm run docs:serve` shows it.');
}
