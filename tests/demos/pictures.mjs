// node tests/demos/pictures.mjs: the small pictures of the demos' index, drawn by the demos.
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { listen } from '../../demos/serve.mjs';
import { findBrowser } from '../find-browser.mjs';

const [WIDTH, HEIGHT] = [512, 320];
/** Where a card's picture is found: canvases side by side, the first in front. */
const CARDS = {
  '01-text-to-picture': '#canvas',
  '02-negative-prompt': '#pictures canvas',
  '03-strength': '#row canvas',
  '04-steps': '#pictures canvas',
  '05-samplers': '#pictures canvas',
  '06-guidance': '#halves canvas',
  '07-inpainting': '.easel canvas, #result canvas',
  '08-your-checkpoint': '#picture canvas',
  '09-inside': '#words canvas',
  '10-embed': '#received canvas',
  '11-seeds': '#seeds canvas',
};

const second = await listen(8350);
const server = await listen(8300, `http://localhost:${second.address().port}`);
const address = `http://localhost:${server.address().port}`;
const browser = await chromium.launch({
  executablePath: await findBrowser('chromium'),
  args: process.getuid?.() === 0 ? ['--no-sandbox'] : [],
});
const page = await browser.newPage();
page.setDefaultTimeout(300_000);

/** Brings a page to its pictures. */
async function draw(name) {
  await page.goto(`${address}/demos/${name}/`);
  if (name === '08-your-checkpoint') {
    await page.getByLabel('Or an address').fill('/demos/landscapes/model/');
    await page.getByLabel('Prompt').fill('a castle on mountains in the fog');
    await page.getByRole('button', { name: 'Load' }).click();
    await page.locator('#engine', { hasText: 'made for' }).waitFor();
  }
  if (name === '07-inpainting') {
    await page.locator('#engine', { hasText: 'WebAssembly' }).waitFor();
    await page.waitForTimeout(5000);
    await page.locator('#mask').scrollIntoViewIfNeeded();
    const { x, y, width } = await page.locator('#mask').boundingBox();
    await page.mouse.move(x + 0.35 * width, y + 0.5 * width);
    await page.mouse.down();
    for (const [a, b] of [
      [0.6, 0.5],
      [0.6, 0.65],
      [0.35, 0.65],
      [0.35, 0.55],
      [0.6, 0.58],
    ])
      await page.mouse.move(x + a * width, y + b * width, { steps: 5 });
    await page.mouse.up();
  }
  if (name === '10-embed') {
    const frame = page.frameLocator('#frame iframe');
    await frame.getByRole('button', { name: 'Draw' }).click();
    await page.locator('#received canvas.drawn').waitFor();
  } else {
    await page.locator('#draw').click();
    await page.locator('#status', { hasText: /^Done/ }).waitFor();
  }
}

for (const [name, selector] of Object.entries(CARDS)) {
  if (process.argv.length > 2 && !process.argv.includes(name)) continue;
  await draw(name);
  const url = await page.evaluate(
    ([selector, width, height]) => {
      let found = [...document.querySelectorAll(selector)];
      if (found.length === 3 && found[1].id === 'mask') {
        // The mask lies over the picture.
        const both = document.createElement('canvas');
        both.width = both.height = 512;
        const over = both.getContext('2d');
        over.drawImage(found[0], 0, 0, 512, 512);
        over.drawImage(found[1], 0, 0, 512, 512);
        found = [both, found[2]];
      }
      const canvas = Object.assign(document.createElement('canvas'), { width, height });
      const context = canvas.getContext('2d');
      // One, two side by side, or two rows of two or three.
      const columns = found.length < 2 ? 1 : found.length < 6 ? 2 : 3;
      const rows = found.length < 4 ? 1 : 2;
      const shown = found.slice(0, rows * columns);
      const [w, h] = [width / columns, height / rows];
      shown.forEach((one, i) => {
        // The middle of each, as large as fits.
        const scale = Math.min(one.width / w, one.height / h);
        const [cutWidth, cutHeight] = [w * scale, h * scale];
        context.drawImage(
          one,
          ...[(one.width - cutWidth) / 2, (one.height - cutHeight) * 0.62, cutWidth, cutHeight],
          ...[(i % columns) * w, Math.floor(i / columns) * h, w, h],
        );
      });
      return canvas.toDataURL('image/webp', 0.8);
    },
    [selector, WIDTH, HEIGHT],
  );
  const path = fileURLToPath(new URL(`../../demos/shared/pictures/${name}.webp`, import.meta.url));
  writeFileSync(path, Buffer.from(url.split(',')[1], 'base64'));
  console.log(name);
}
await browser.close();
server.close();
second.close();
