// The pages that are written from the sources.
import { readdirSync } from 'node:fs';
import ts from 'typescript';
import { createSampler, SAMPLERS } from '../sdk/samplers/index.ts';

const page = (title, category, text) =>
  `---\ntitle: ${title}\ncategory: ${category}\n---\n\n# ${title}\n\n${text}\n`;

/** A cell of a table in Markdown. */
const cell = (text) => text.replace(/\s+/g, ' ').replaceAll('|', '\\|').trim();
const code = (text) => (text === '' ? '' : `\`${cell(text)}\``);
const table = (head, rows) =>
  [head, head.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n');

/** The members of an interface, with their docstrings. Those that share one stand in one row. */
function members(read, name) {
  const found = readdirSync(new URL('../sdk', import.meta.url))
    .filter((file) => file.endsWith('.ts'))
    .flatMap(
      (file) =>
        ts.createSourceFile(file, read(`sdk/${file}`), ts.ScriptTarget.Latest, true).statements,
    )
    .find((one) => ts.isInterfaceDeclaration(one) && one.name.text === name);
  if (!found) throw new Error(`No file in sdk/ declares ${name}.`);
  const rows = [];
  for (const member of found.members) {
    if (!ts.isPropertySignature(member)) continue;
    const doc = ts
      .getJSDocCommentsAndTags(member)
      .map(({ comment }) => ts.getTextOfJSDocComment(comment) ?? '')
      .join(' ');
    const row = { names: [member.name.getText()], type: member.type.getText(), doc };
    const before = rows.at(-1);
    if (doc === '' && before?.type === row.type) before.names.push(...row.names);
    else rows.push(row);
  }
  return rows;
}

const memberTable = (read, name) =>
  // Two columns and not three: on a phone a third would be out of sight.
  table(
    ['Option', 'What it does'],
    members(read, name).map(({ names, type, doc }) => [
      `**${names.map(code).join(' ')}**<br>${code(type)}`,
      cell(doc.replace(/\{@link (\w+)\}/g, '`$1`')),
    ]),
  );

export const optionsPage = (read) =>
  page(
    'Options',
    'Reference',
    `Written from the docstrings of the sources. A name that does not exist, or a value out of range, is
refused before any work with the code \`INVALID_OPTION\` and a sentence that says what is meant.

## Of generate and stream

${memberTable(read, 'GenerateOptions')}

## Of secondPass

${memberTable(read, 'SecondPass')}

## Of load

${memberTable(read, 'LoadOptions')}
`,
  );

/** Asked of the samplers themselves, so that the table cannot be wrong. */
const can = (name, schedule) => {
  try {
    createSampler(name, {}, schedule);
    return true;
  } catch {
    return false;
  }
};
const SPACINGS = ['Karras', 'Exponential', 'Beta', 'Align Your Steps'];
const LAYOUTS = { timesteps: { timesteps: [999, 500, 1] }, sigmas: { sigmas: [14, 3, 0] } };

/** The contact sheets that tests/bench/sampler-sheets.ts drew, in the order of its table. */
const sheets = (readme) =>
  [...readme.matchAll(/\[([^\]]+)\]\(([\w-]+\.jpg)\)/g)]
    .map(
      ([, name, file]) =>
        `### ${name}\n\n![${name} at 4, 8, 15, 25 and 50 steps](../../docs/samplers/${file})`,
    )
    .join('\n\n');

export const samplersPage = (read) =>
  page(
    'Samplers',
    'Reference',
    `\`sampler\` takes the names that people know from other programs, in any case, or the class names of
diffusers. Without it the model's own is used, as its \`scheduler_config.json\` says. All of them follow
diffusers to 1e-5 over whole trajectories.

${table(
  [
    'Name',
    'Class in diffusers',
    'Settings of the name',
    'Schedules that may follow',
    'Own layout of steps',
  ],
  SAMPLERS.flatMap(({ className, names }) =>
    Object.entries(names).map(([name, settings]) => ({ className, name, settings })),
  ).map(({ className, name, settings }) => {
    const spacings = SPACINGS.filter((one) => can(`${name} ${one}`, 10));
    const takes = Object.keys(LAYOUTS).filter((one) => can(name, LAYOUTS[one]));
    return [
      code(name),
      code(className),
      Object.entries(settings)
        .map(([key, value]) => code(`${key}: ${value}`))
        .join(' '),
      spacings.join(', ') || '–',
      takes.map(code).join(', ') || '–',
    ];
  }),
)}

A schedule is written after the name: \`DPM++ 2M Karras\`, \`Euler Exponential\`, \`UniPC Beta\`,
\`Euler SGM Uniform\`, \`DPM++ 2M Align Your Steps\`. Every other setting of the class can be given by
\`schedulerOptions\`, under diffusers' names.

## Which one?

- **DPM++ 2M Karras** or **UniPC**, 15 to 25 steps: the most picture for the time.
- **Euler**, 20 to 30 steps: plain, never bad.
- **Euler a**, **DPM++ SDE**, **DPM++ 2M SDE**, **DDPM**: draw fresh noise at every step, so that more
  steps give another picture and not only a finer one.
- **Heun**, **DPM2**, **DPM2 a**, **DPM++ SDE**: two evaluations of the UNet for each step.
- **LCM**, **TCD**: for models that were distilled for them, 1 to 8 steps: see
  [few-step models](../../docs/guide/few-steps.md).

## What they draw

Two prompts on the landscapes model, at 4, 8, 15, 25 and 50 steps from the left, guidance 4.

${sheets(read('docs/samplers/README.md'))}
`,
  );

/** The codes of the union, with the comment beside each. */
export function errorCodes(source) {
  const [, union] = /SDErrorCode =\n((?: +\|.*\n)+)/.exec(source);
  return [...union.matchAll(/\| '([A-Z_]+)';? *\/\/ (.*)/g)].map(([, name, meaning]) => ({
    name,
    meaning,
  }));
}

/** @throws Error where docs/errors.md says too little or too much */
export function errorsPage(read) {
  const advice = new Map(
    read('docs/errors.md')
      .split(/^## /m)
      .slice(1)
      .map((section) => [
        section.slice(0, section.indexOf('\n')),
        section.slice(section.indexOf('\n')).trim(),
      ]),
  );
  const codes = errorCodes(read('sdk/errors.ts'));
  const wrong = [
    ...codes
      .filter(({ name }) => !advice.has(name))
      .map(({ name }) => `nothing is said about ${name}`),
    ...[...advice.keys()]
      .filter((name) => !codes.some((one) => one.name === name))
      .map((name) => `there is no ${name}`),
  ];
  if (wrong.length > 0) throw new Error(`docs/errors.md: ${wrong.join(', ')}.`);
  const [intro] = read('docs/errors.md').split(/^## /m);
  return page(
    'Errors',
    'Reference',
    `${intro.trim()}\n\n${codes
      .map(
        ({ name, meaning }) =>
          `## ${name}\n\n*${meaning[0].toUpperCase()}${meaning.slice(1)}.*\n\n${advice.get(name)}`,
      )
      .join('\n\n')}`,
  );
}
