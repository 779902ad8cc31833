/**
 * node --import tsx tests/bench/sampler-sheets.ts [--check] [--only NAME]
 *
 * Draws with every sampler at 4, 8, 15, 25 and 50 steps on the landscapes model (128², the CPU engine,
 * fixed seeds) and writes docs/samplers: a contact sheet for each, and what was measured. Fails where a
 * sampler has not converged to a recognisable picture at 25 steps. `--check` writes nothing.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { chromium } from 'playwright-core';
import { format } from 'prettier';
import type { Picture } from '../../sdk/image.ts';
import { validateOptions } from '../../sdk/options.ts';
import { generate } from '../../sdk/pipeline/generate.ts';
import { findBrowser } from '../find-browser.mjs';
import { judge } from '../support/judge.ts';
import { landscapes } from '../support/landscapes.ts';
import { nodeWasmBackend } from '../support/wasm-backend.ts';

const PROMPTS = [
  { prompt: 'a red lighthouse by the sea at dusk', shows: { time: 'dusk', terrain: 'sea' } },
  { prompt: 'a castle on mountains in the fog', shows: { weather: 'fog', terrain: 'mountains' } },
];
const SEEDS = [3, 5];
const STEPS = [4, 8, 15, 25, 50];
const ENOUGH = 25;
const GUIDANCE = 4;

/** Those that follow the differential equation end at one picture; those with noise of their own do not. */
const FOLLOWING = [
  ...['DDIM', 'PLMS', 'Euler', 'Heun', 'LMS', 'DPM2', 'DPM++ 2M', 'DPM++ 2M Karras'],
  ...['DPM++ 3M', 'DPM++ 2S', 'UniPC', 'DEIS'],
];
const NOISY = [
  ...[
    'DDPM',
    'Euler a',
    'DPM2 a',
    'DPM++ SDE',
    'DPM++ 2M SDE',
    'DPM++ 2M SDE Heun',
    'DPM++ 3M SDE',
  ],
  ...['LCM', 'TCD'],
];
/** The picture that all of the first kind tend to. */
const LIMIT = { sampler: 'DDIM', steps: 200 };
/** Decibels of peak signal to noise between that and 25 steps. */
const NEAR = 25;

const { values } = parseArgs({
  options: { check: { type: 'boolean', default: false }, only: { type: 'string' } },
});
const backend = await nodeWasmBackend({ threads: 2 });
const pipeline = await landscapes(backend);

async function draw(sampler: string, steps: number): Promise<readonly Picture[]> {
  const { request } = validateOptions({
    prompt: PROMPTS.map(({ prompt }) => prompt),
    seed: SEEDS,
    guidanceScale: GUIDANCE,
    sampler,
    steps,
  });
  const run = { ...request, image: undefined, mask: undefined };
  return (await generate(pipeline, run)).pictures;
}

function psnr(a: Picture, b: Picture): number {
  const squares = a.data.reduce((sum, x, i) => sum + (i % 4 === 3 ? 0 : (x - b.data[i]) ** 2), 0);
  return 10 * Math.log10((255 ** 2 * a.width * a.height * 3) / squares);
}

/** How many of the things that the prompt asked for the judge sees. */
function seen(picture: Picture, { shows }: (typeof PROMPTS)[number]): number {
  const answers = judge(picture);
  return Object.entries(shows).filter(([head, answer]) => answers.get(head) === answer).length;
}

const ASKED = PROMPTS.reduce((sum, { shows }) => sum + Object.keys(shows).length, 0);
const limit = await draw(LIMIT.sampler, LIMIT.steps);
const failures: string[] = [];
const rows: { name: string; sheet: (readonly Picture[])[]; near: number[]; right: number[] }[] = [];
for (const name of [...FOLLOWING, ...NOISY]) {
  if (values.only && values.only !== name) continue;
  const sheet = [];
  for (const steps of STEPS) sheet.push(await draw(name, steps));
  const near = sheet.map((drawn) => Math.min(...drawn.map((one, i) => psnr(one, limit[i]))));
  const right = sheet.map((drawn) => drawn.reduce((sum, one, i) => sum + seen(one, PROMPTS[i]), 0));
  rows.push({ name, sheet, near, right });
  const at = STEPS.indexOf(ENOUGH);
  if (FOLLOWING.includes(name) && near[at] < NEAR)
    failures.push(`${name}: ${near[at].toFixed(1)} dB from the limit at ${ENOUGH} steps`);
  if (right[at] < ASKED)
    failures.push(`${name}: the judge sees ${right[at]} of ${ASKED} at ${ENOUGH} steps`);
  const figures = near.map((db, i) => `${db.toFixed(1)} dB ${right[i]}/${ASKED}`);
  console.log(`${name.padEnd(18)} ${figures.join('   ')}`);
}
if (!values.check && !values.only) await write();
for (const failure of failures) console.error(`NOT CONVERGED  ${failure}`);
process.exit(failures.length > 0 ? 1 : 0);

async function write(): Promise<void> {
  const folder = new URL('../../docs/samplers/', import.meta.url);
  mkdirSync(folder, { recursive: true });
  const file = (name: string): string => `${name.toLowerCase().replaceAll('+', 'p').replaceAll(' ', '-')}.jpg`; // prettier-ignore
  const browser = await chromium.launch({
    executablePath: await findBrowser('chromium'),
    args: process.getuid?.() === 0 ? ['--no-sandbox'] : [],
  });
  const page = await browser.newPage({ viewport: { width: 656, height: 292 } });
  for (const { name, sheet } of rows) {
    const columns = sheet.map((drawn, i) => ({
      label: `${STEPS[i]} steps`,
      pictures: drawn.map(({ data }) => [...data]),
    }));
    await page.setContent(
      '<style>body{margin:0;display:flex;gap:4px;font:12px sans-serif;background:#fff}div{width:128px}canvas{display:block;margin-bottom:4px}p{margin:4px 0;text-align:center}</style>',
    );
    await page.evaluate((all) => {
      for (const { label, pictures } of all) {
        const column = document.body.appendChild(document.createElement('div'));
        column.appendChild(document.createElement('p')).textContent = label;
        for (const data of pictures) {
          const canvas = column.appendChild(document.createElement('canvas'));
          canvas.width = canvas.height = 128;
          const pixels = new ImageData(Uint8ClampedArray.from(data), 128, 128);
          canvas.getContext('2d')!.putImageData(pixels, 0, 0);
        }
      }
    }, columns);
    const path = new URL(file(name), folder).pathname;
    await page.screenshot({ path, type: 'jpeg', quality: 80 });
  }
  await browser.close();
  const head = ['Sampler', ...STEPS.map((steps) => `${steps}`)];
  const table = [head, head.map(() => '---')].concat(
    rows.map(({ name, near, right }) => [
      `[${name}](${file(name)})`,
      ...right.map((count, i) =>
        FOLLOWING.includes(name)
          ? `${count}/${ASKED}, ${near[i].toFixed(1)} dB`
          : `${count}/${ASKED}`,
      ),
    ]),
  );
  const text = `# Every sampler at 4, 8, 15, 25 and 50 steps

Made and measured by \`node --import tsx tests/bench/sampler-sheets.ts\`, on the landscapes model at 128²
with the CPU engine, guidance ${GUIDANCE}: ${PROMPTS.map(({ prompt }, i) => `“${prompt}” (seed ${SEEDS[i]})`).join(' and ')}.

Of each, how many of the ${ASKED} things asked for (time of day or weather, and terrain, of both pictures) the
[judge](../../demos/landscapes/judge/README.md) sees. Samplers without noise of their own follow one
differential equation, and all end at one picture: for those, the distance from it (${LIMIT.sampler} with ${LIMIT.steps}
steps; peak signal to noise, of the worse picture). The script fails where at ${ENOUGH} steps anything is missing, or a
distance is below ${NEAR} dB.

${table.map((row) => `| ${row.join(' | ')} |`).join('\n')}

${rows.map(({ name }) => `## ${name}\n\n![${name}](${file(name)})`).join('\n\n')}
`;
  writeFileSync(
    new URL('README.md', folder),
    await format(text, { parser: 'markdown', printWidth: 100 }),
  );
}
