// `node docs/figures.mjs`: draws the pictures of the guide with the landscapes model, in Chromium.
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { listen } from '../demos/serve.mjs';
import { openBrowser } from '../tests/support/browsers.mjs';

const folder = join(dirname(fileURLToPath(import.meta.url)), 'figures');

/** Rows of pictures, with a few words under each, as a JPEG in base64. */
const DRAW = `
  const { StableDiffusion } = await import('/dist/index.js');
  const sd = await StableDiffusion.load('/demos/landscapes/model/', { keep: false });
  const prompt = 'a red lighthouse by the sea at dusk';
  const base = { prompt, steps: 20, seed: 7, guidanceScale: 5 };
  const draw = async (options) => (await sd.generate({ ...base, ...options })).image.toCanvas();
  const SIDE = 256, GAP = 12, LINE = 34;
  const sheet = (rows, words) => {
    const canvas = document.createElement('canvas');
    canvas.width = rows[0].length * (SIDE + GAP) - GAP;
    canvas.height = rows.length * (SIDE + GAP) - GAP + LINE;
    const context = canvas.getContext('2d');
    context.fillStyle = '#fff';
    context.fillRect(0, 0, canvas.width, canvas.height);
    rows.forEach((row, y) => row.forEach((one, x) =>
      context.drawImage(one, x * (SIDE + GAP), y * (SIDE + GAP), SIDE, SIDE)));
    context.fillStyle = '#222';
    context.font = '20px sans-serif';
    context.textAlign = 'center';
    words.forEach((word, x) =>
      context.fillText(word, x * (SIDE + GAP) + SIDE / 2, canvas.height - 9));
    return canvas.toDataURL('image/jpeg', 0.85).split(',')[1];
  };
  const moments = [1, 2, 4, 8, 14, 20];
  const along = async (previewState) => {
    const row = [];
    const onStep = ({ step, preview }) => moments.includes(step) && row.push(preview.toCanvas());
    await draw({ preview: 'vae', previewState, onStep });
    return row;
  };
  const each = async (values, options) => {
    const row = [];
    for (const value of values) row.push(await draw(options(value)));
    return row;
  };
  const scales = [1, 3, 5, 9, 15];
  const strengths = [0.2, 0.4, 0.6, 0.8, 1];
  const [image] = await each([0], () => ({}));
  const winter = { prompt: 'snowy mountains at night, a small cabin', image };
  const foggy = { prompt: 'a small cabin in the mountains at noon', seed: 11 };
  const figures = {
    steps: sheet([await along('denoised'), await along('noisy')], moments.map((n) => 'step ' + n)),
    guidance: sheet([await each(scales, (guidanceScale) => ({ guidanceScale }))], scales.map((n) => 'guidance ' + n)),
    negative: sheet(
      [await each([undefined, 'snow', 'trees'], (negativePrompt) => ({ ...foggy, negativePrompt }))],
      ['no negative prompt', 'not: snow', 'not: trees'],
    ),
    strength: sheet(
      [[image, ...(await each(strengths, (strength) => ({ ...winter, strength })))]],
      ['start', ...strengths.map((n) => 'strength ' + n)],
    ),
  };
  await sd.dispose();
  return figures;`;

const server = await listen(8900);
const page = await openBrowser('chromium');
try {
  await page.goto(`http://localhost:${server.address().port}/demos/embed/`);
  mkdirSync(folder, { recursive: true });
  for (const [name, jpeg] of Object.entries(await page.evaluate(DRAW)))
    writeFileSync(join(folder, `${name}.jpg`), Buffer.from(jpeg, 'base64'));
} finally {
  await page.close();
  server.close();
}
