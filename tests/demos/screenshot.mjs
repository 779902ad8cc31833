// node tests/demos/screenshot.mjs FILE.jpg: the picture of the first demo in the README.
import { chromium } from 'playwright-core';
import { listen } from '../../demos/serve.mjs';
import { findBrowser } from '../find-browser.mjs';

const DRAWN = [
  ['a castle on mountains in the fog', 7],
  ['a sailing boat on the sea at night', 2],
  ['pine trees in snowy hills at dawn', 10],
  ['a yellow house in hills, autumn', 12],
  ['a red lighthouse by the sea at dusk', 7],
];

const server = await listen(8300);
const browser = await chromium.launch({
  executablePath: await findBrowser('chromium'),
  args: process.getuid?.() === 0 ? ['--no-sandbox'] : [],
});
const page = await browser.newPage({ viewport: { width: 1180, height: 990 } });
page.setDefaultTimeout(300_000);
await page.goto(`http://localhost:${server.address().port}/demos/01-text-to-picture/`);
for (const [prompt, seed] of DRAWN) {
  const before = await page.locator('.history li').count();
  await page.getByLabel('Prompt', { exact: true }).fill(prompt);
  await page.locator('#seed').fill(String(seed));
  await page.getByRole('button', { name: 'Draw' }).click();
  await page.locator('.history li').nth(before).waitFor();
  await page.waitForTimeout(500);
}
await page.screenshot({ path: process.argv[2], type: 'jpeg', quality: 82 });
await browser.close();
server.close();
