import assert from 'node:assert/strict';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import { listen } from '../../demos/serve.mjs';
import { openBrowser, type EnginePage } from '../support/browsers.mjs';

// The demos in Firefox: each is opened as a link opens it and draws; a suite of its own.
let servers: Server[];
let page: EnginePage;
let origin: string;

before(async () => {
  const other = await listen(8280);
  const address = (server: Server) => `http://localhost:${(server.address() as AddressInfo).port}`;
  const site = await listen(8230, address(other));
  servers = [site, other];
  origin = address(site);
  page = await openBrowser('firefox');
});
after(async () => {
  await page?.close();
  for (const server of servers) {
    server.closeAllConnections();
    server.close();
  }
});

/** Waits in the page until `test` holds. */
const UNTIL = `
  const until = async (test) => {
    const end = performance.now() + 150_000;
    while (!test()) {
      if (performance.now() > end)
        throw new Error(test + ': ' + document.querySelector('main').innerText.slice(0, 300));
      await new Promise((done) => setTimeout(done, 100));
    }
  };
  const find = (selector) => document.querySelector(selector);
  const isDone = () => /^Done in/.test(find('#status').textContent);
  const press = (name) =>
    [...document.querySelectorAll('button')].find((one) => one.textContent.trim() === name).click();
`;
/** How many canvases show a picture and not one colour. */
const PICTURES = `
  return [...document.querySelectorAll(arguments[0])].filter((canvas) => {
    const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    const colours = new Set();
    for (let i = 0; i < data.length; i += 4) colours.add((data[i] << 16) | (data[i + 1] << 8) | data[i + 2]);
    return colours.size > 8;
  }).length;
`;

async function open(path: string): Promise<void> {
  await page.goto(`${origin}/demos/${path}`);
}

for (const [path, selector, count] of [
  ['02-negative-prompt/?draw&steps=3', '#pictures canvas', 2],
  ['03-strength/?draw&steps=6', '#pair canvas, #row canvas', 6],
  ['04-steps/?draw&row=2,5', '#pictures canvas', 2],
  ['05-samplers/?draw&steps=2', '#pictures canvas', 14],
  ['06-guidance/?draw&steps=4&row=1,5', '#halves canvas, #scales canvas', 6],
  ['09-inside/?draw&steps=3', '#now canvas, #words canvas', 10],
  ['11-seeds/?draw&steps=2', '#seeds canvas, #variations canvas', 12],
] as const)
  test(`Firefox draws on /demos/${path}`, async () => {
    await open(path);
    await page.evaluate(`${UNTIL} await until(() => isDone() || !find('#error').hidden);`);
    assert.equal(await page.evaluate('return document.querySelector("#error").textContent'), '');
    assert.equal(await page.evaluate(PICTURES, selector), count);
  });

test('Firefox: text to picture', async () => {
  await open('01-text-to-picture/');
  await page.evaluate(`${UNTIL}
    find('[name=steps]').value = 3;
    find('#form').requestSubmit();
    await until(isDone);
  `);
  assert.equal(await page.evaluate(PICTURES, '#canvas'), 1);
});

test('Firefox: inpainting by the keyboard', async () => {
  await open('07-inpainting/?steps=3');
  await page.evaluate(`${UNTIL}
    const mask = find('#mask');
    mask.focus();
    for (const key of [' ', 'ArrowRight', ' ', 'ArrowDown', ' '])
      mask.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true }));
    press('Draw');
    await until(isDone);
  `);
  assert.equal(await page.evaluate(PICTURES, '#picture, #result canvas'), 2);
});

test('Firefox: a model by its address, kept', async () => {
  await open('08-your-checkpoint/?steps=2&url=/demos/landscapes/model/');
  const kept = await page.evaluate(`${UNTIL}
    press('Load');
    await until(() => find('#kept li'));
    press('Draw');
    await until(isDone);
    return find('#kept li').textContent;
  `);
  assert.match(String(kept), /landscapes\/model\/, 1\d\.\d MiB/);
  assert.equal(await page.evaluate(PICTURES, '#picture canvas'), 1);
});

test('Firefox: the frame of another origin is there and answers', async () => {
  await open('10-embed/');
  const answer = await page.evaluate(`${UNTIL}
    await until(() => find('#frame iframe')?.stableDiffusion);
    press('Send and draw');
    await until(() => !find('#error').hidden);
    return find('#error').textContent;
  `);
  assert.match(String(answer), /Press Draw inside of the frame once/);
});
