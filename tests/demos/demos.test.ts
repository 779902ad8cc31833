import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { Page } from 'playwright-core';
import { apart, DemoSite, done, draw, pictures } from './demo-page.ts';

// Each demo draws what it is about; few steps, since it is the page that is tested.
let site: DemoSite;
before(async () => (site = await DemoSite.open(8210)));
after(() => site.close());

/** A prompt whose end the model does not see, of which there is a notice. */
const UNTAKEN = `${'hills, '.repeat(40)}haze`;
const tells = (page: Page): Promise<void> =>
  page.locator('#status', { hasText: 'haze' }).waitFor({ timeout: 5000 });

test('02: the negative prompt changes the picture, and without one nothing does', async () => {
  const page = await site.page('02-negative-prompt/?draw&steps=6&seed=11');
  await done(page);
  assert.equal(await pictures(page, '#pictures canvas'), 2);
  const changed = await apart(page, ['#pictures canvas', 0], ['#pictures canvas', 1]);
  assert.ok(changed > 0.5, `${changed}`);
  await page.locator('[name=negativePrompt]').fill('');
  await draw(page);
  assert.equal(await apart(page, ['#pictures canvas', 0], ['#pictures canvas', 1]), 0);
  await page.context().close();
});

test('02: a model that could not be fetched is fetched at the next Draw', async () => {
  for (const path of ['01-text-to-picture/', '02-negative-prompt/?steps=2']) {
    const page = await site.page('', { viewport: { width: 320, height: 640 } });
    await page.route('**/model_index.json', (route) => route.fulfill({ status: 404 }));
    await page.goto(`${site.origin}/demos/${path}`);
    await page.locator('#error', { hasText: /MISSING_FILE/ }).waitFor();
    await page.unroute('**/model_index.json');
    if (path.startsWith('01')) await page.locator('[name=steps]').fill('2');
    // A word that is longer than a phone is wide makes nothing wider.
    await page.locator('[name=prompt]').fill('landscape'.repeat(20));
    const negative = page.locator('[name=negativePrompt]');
    await negative.fill('fog'.repeat(60));
    await page.locator('#draw').click();
    await done(page);
    assert.equal(await page.locator('#error').isVisible(), false);
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 320);
    await page.context().close();
  }
});

test('03: the more strength, the farther from the start; a picture of one’s own', async () => {
  const page = await site.page('03-strength/?draw&steps=10');
  await done(page);
  const farther = async () => {
    const all = [];
    for (let i = 0; i < 4; i++)
      all.push(await apart(page, ['#pair canvas', 0], ['#row canvas', i]));
    assert.deepEqual(
      all.toSorted((a, b) => a - b),
      all,
    );
    assert.ok(all[0] > 0);
  };
  await farther();

  const path = fileURLToPath(new URL('../../demos/landscapes/sheet.jpg', import.meta.url));
  await page.locator('#file').setInputFiles(path);
  await page.getByText('sheet.jpg, its middle').waitFor();
  await done(page);
  await farther();
  // The slider answers by itself, and stands for the result beside the start.
  await page.locator('#strength').fill('0.2');
  await page
    .getByText(/^Strength 0\.2: [\d.]+\s% away$/)
    .first()
    .waitFor();
  await done(page);
  assert.equal(await apart(page, ['#pair canvas', 1], ['#row canvas', 0]), 0);
  await page
    .locator('#file')
    .setInputFiles({ name: 'x.png', mimeType: 'image/png', buffer: Buffer.from('no') });
  await page.getByText('That file is not a picture').waitFor();
  await page.context().close();
});

test('04: with more steps the picture settles', async () => {
  const page = await site.page('04-steps/?draw&row=2,8,16');
  await done(page);
  const last: [string, number] = ['#pictures canvas', 2];
  const [two, eight] = [
    await apart(page, ['#pictures canvas', 0], last),
    await apart(page, ['#pictures canvas', 1], last),
  ];
  assert.ok(two > 1.5 * eight && eight > 0, `${two} ${eight}`);
  await page.context().close();
});

test('05: every sampler draws, and Escape stops', async () => {
  const page = await site.page('05-samplers/?draw&steps=3');
  await done(page);
  const captions = await page.locator('#pictures figcaption').allTextContents();
  assert.equal(await pictures(page, '#pictures canvas.drawn'), captions.length);
  const named = (name: string): [string, number] => [
    '#pictures canvas',
    captions.findIndex((caption) => caption.startsWith(`${name},`)),
  ];
  assert.ok((await apart(page, named('DDIM'), named('Euler a'))) > 1);

  await page.getByLabel(/^Steps/).fill('50');
  await page.getByRole('button', { name: 'Draw', exact: true }).click();
  await page.locator('#status', { hasText: /step \d+ of 50/ }).waitFor();
  await page.keyboard.press('Escape');
  await page.locator('#status', { hasText: 'Cancelled.' }).waitFor();
  assert.equal(await page.getByRole('button', { name: 'Cancel' }).isDisabled(), true);
  await page.getByLabel(/^Steps/).fill('2');
  await draw(page);
  await page.context().close();
});

test('06: both halves of a step, their difference, and other scales', async () => {
  const page = await site.page('06-guidance/?draw&steps=4&row=1,15');
  await done(page);
  assert.equal(await pictures(page, '#halves canvas'), 4);
  assert.equal(await pictures(page, '#differences canvas'), 4);
  const halves = () => apart(page, ['#halves canvas', 0], ['#halves canvas', 1]);
  const scrub = page.locator('#at');
  assert.equal(await scrub.getAttribute('max'), '4');
  await scrub.fill('1');
  const first = await halves();
  await scrub.fill('4');
  const last = await halves();
  assert.ok(first > last && last > 0, `${first} ${last}`);
  assert.ok((await apart(page, ['#scales canvas', 0], ['#scales canvas', 1])) > 1);
  await page.context().close();
});

test('07: what is painted over changes, the rest stays; by mouse and by keyboard', async () => {
  const page = await site.page('07-inpainting/?steps=4');
  await page.locator('#engine', { hasText: 'WebAssembly' }).waitFor();
  await page.locator('#draw').click();
  await page.locator('#status', { hasText: /^Nothing is painted over yet/ }).waitFor();

  // How much the result differs from the picture, left of the middle and right of it.
  const changes = () =>
    page.evaluate(() => {
      const [a, b] = ['#picture', '#result canvas'].map((selector) => {
        const canvas = document.querySelector<HTMLCanvasElement>(selector)!;
        return canvas.getContext('2d')!.getImageData(0, 0, 128, 128).data;
      });
      const sums = [0, 0];
      a.forEach((value, i) => (sums[(i / 4) % 128 < 64 ? 0 : 1] += Math.abs(value - b[i])));
      return sums.map((sum) => sum / (a.length / 2));
    });
  await page.locator('#mask').scrollIntoViewIfNeeded();
  const { x, y, width } = (await page.locator('#mask').boundingBox())!;
  await page.mouse.move(x + 0.2 * width, y + 0.3 * width);
  await page.mouse.down();
  await page.mouse.move(x + 0.2 * width, y + 0.7 * width, { steps: 4 });
  await page.mouse.up();
  await draw(page);
  const [left, right] = await changes();
  assert.ok(left > 1 && right === 0, `${left} ${right}`);

  // The other side, by keys alone.
  await page.getByRole('button', { name: 'Clear' }).click();
  await page.locator('#mask').focus();
  for (let i = 0; i < 8; i++) await page.keyboard.press('ArrowRight');
  for (let i = 0; i < 5; i++) {
    await page.keyboard.press('Space');
    await page.keyboard.press('ArrowDown');
  }
  await draw(page);
  const [kept, painted] = await changes();
  assert.ok(painted > 1 && kept === 0, `${kept} ${painted}`);

  await page.locator('[name=prompt]').fill(UNTAKEN);
  await draw(page);
  await tells(page);
  await page.getByRole('button', { name: 'Go on from the result' }).click();
  assert.deepEqual(await changes(), [0, 0]);
  await page.context().close();
});

test('08: a model by address and from a folder, kept and deleted; what is wrong is said', async () => {
  const page = await site.page(`08-your-checkpoint/?steps=2&prompt=${encodeURIComponent(UNTAKEN)}`);
  await page.getByText('Nothing yet.').waitFor();
  await page.locator('#draw').click();
  await page.locator('#status', { hasText: /^Open a model first/ }).waitFor();
  // Draw waits for a model that is on its way, and Cancel stops both.
  const address = page.getByLabel('Or an address');
  let answer = () => {};
  await page.route('**/slow/**', (route) => (answer = () => void route.abort().catch(() => {})));
  await address.fill('/demos/slow/');
  await page.getByRole('button', { name: 'Load' }).click();
  await page.locator('#draw').click();
  await page.locator('#status', { hasText: 'Drawing …' }).waitFor();
  await page.locator('#cancel').click();
  await page.locator('#status', { hasText: 'Cancelled.' }).waitFor();
  await page.getByText('No model is loaded.').waitFor();
  answer();
  await address.fill('/demos/landscapes/model/');
  await page.getByRole('button', { name: 'Load' }).click();
  await page.locator('#engine', { hasText: 'made for 128 × 128' }).waitFor();
  await page.locator('#kept li', { hasText: 'landscapes/model/' }).waitFor();
  await draw(page);
  await tells(page);
  assert.equal(await pictures(page, '#picture canvas'), 1);

  await page.getByRole('button', { name: /^Delete/ }).click();
  await page.getByText('Nothing yet.').waitFor();
  const folder = fileURLToPath(new URL('../../demos/landscapes/model', import.meta.url));
  await page.locator('#folder').setInputFiles(folder);
  await page.locator('#engine', { hasText: /\. model, made for 128/ }).waitFor();
  await page.locator('#kept li').waitFor();
  await draw(page);

  const wrong = { name: 'wrong.safetensors', mimeType: '', buffer: Buffer.from('not a model') };
  await page.locator('#file').setInputFiles(wrong);
  await page.locator('#error', { hasText: /\(INVALID_FILE\)/ }).waitFor();
  assert.match((await page.locator('#error').textContent())!, /Download it again/);
  await page.getByText('No model is loaded.').waitFor();
  await page.context().close();
});

test('09: a picture at each step, a map for each word, the schedule of the sampler', async () => {
  const page = await site.page('09-inside/?draw&steps=4');
  await done(page);
  const words = ['a', 'red', 'lighthouse', 'by', 'the', 'sea', 'at', 'dusk'];
  assert.deepEqual(await page.locator('#words figcaption').allTextContents(), words);
  assert.equal(await pictures(page, '#words canvas'), words.length);
  const between = await apart(page, ['#words canvas', 2], ['#words canvas', 5]);
  assert.ok(between > 3, `a lighthouse is not where the sea is: ${between}`);
  assert.ok((await apart(page, ['#now canvas', 0], ['#now canvas', 1])) < 1);
  await page.locator('#at').fill('1');
  assert.ok((await apart(page, ['#now canvas', 0], ['#now canvas', 1])) > 3);

  assert.equal(await page.locator('#sigmas circle').count(), 4);
  const path = () => page.locator('#sigmas path').getAttribute('d');
  const ddim = await path();
  await page.getByLabel('Sampler').selectOption('DPM++ 2M Karras');
  await page.waitForFunction(
    (d) => document.querySelector('#sigmas path')!.getAttribute('d') !== d,
    ddim,
  );
  assert.match(
    (await page.locator('#signal').getAttribute('aria-label'))!,
    /Karras looks at 4 times/,
  );
  await page.context().close();
});

test('10: the frame of another origin draws, and its picture arrives', async () => {
  const page = await site.page('10-embed/');
  const frame = page.frameLocator('#frame iframe');
  await frame.getByRole('button', { name: 'Draw' }).waitFor();
  assert.ok((await page.locator('#frame iframe').getAttribute('src'))!.startsWith(site.other));
  await page.getByRole('button', { name: 'Send and draw' }).click();
  await page.getByText('Press Draw inside of the frame once').waitFor();
  await frame.getByRole('button', { name: 'Draw' }).click();
  await page.locator('#received canvas.drawn').waitFor();
  assert.equal(await pictures(page, '#received canvas'), 1);
  assert.equal(await frame.getByLabel('Prompt').inputValue(), 'a windmill in spring');
  await page.context().close();
});

test('11: seeds differ, and variations leave the first step by step', async () => {
  const page = await site.page('11-seeds/?draw&steps=3');
  await done(page);
  assert.equal(await pictures(page, '#seeds canvas'), 6);
  const seed: [string, number] = ['#seeds canvas', 0];
  assert.ok((await apart(page, seed, ['#seeds canvas', 1])) > 1);
  const near = [];
  for (const i of [0, 1, 3, 5]) near.push(await apart(page, seed, ['#variations canvas', i]));
  assert.ok(
    near[0] < 0.5 && near[1] > near[0] && near[2] > near[1] && near[3] > near[2],
    `${near}`,
  );
  await page.context().close();
});

test('what could not be taken from a prompt is said', async () => {
  for (const path of [
    '02-negative-prompt/?steps=2',
    '03-strength/?steps=5',
    '04-steps/?row=1',
    '05-samplers/?steps=2',
    '06-guidance/?steps=4&row=1',
    '09-inside/?steps=4',
    '11-seeds/?steps=2',
  ]) {
    const page = await site.page(`${path}&prompt=${encodeURIComponent(UNTAKEN)}&draw`);
    await done(page);
    await tells(page);
    await page.context().close();
  }
});

test('the index names every demo, with a picture', async () => {
  const page = await site.page('');
  const links = await page.$$eval('.cards a', (all) =>
    all.map((a) => (a as HTMLAnchorElement).href),
  );
  assert.equal(links.length, 11);
  for (const link of links) assert.equal((await fetch(link)).status, 200, link);
  const loaded = await page.$$eval('.cards img', (all) =>
    Promise.all(
      all.map(async (one) => {
        const image = one as HTMLImageElement;
        await image.decode();
        return image.naturalWidth;
      }),
    ),
  );
  assert.ok(loaded.every((width) => width === 512));
  await page.context().close();
});

test('works offline once it is loaded, and on a page that is not cross-origin isolated', async () => {
  const page = await site.page('02-negative-prompt/?steps=2');
  await page.locator('#engine', { hasText: 'WebAssembly' }).waitFor();
  assert.equal(await page.evaluate(() => crossOriginIsolated), true);
  await page.context().setOffline(true);
  await draw(page);
  await page.context().setOffline(false);

  await page.route('**/02-negative-prompt/', async (route) => {
    const response = await route.fetch();
    const headers = response.headers();
    delete headers['cross-origin-opener-policy'];
    delete headers['cross-origin-embedder-policy'];
    await route.fulfill({ response, headers });
  });
  await page.goto(`${site.origin}/demos/02-negative-prompt/`);
  assert.equal(await page.evaluate(() => crossOriginIsolated), false);
  await page.getByLabel(/^Steps/).fill('2');
  await draw(page);
  assert.doesNotMatch((await page.locator('#engine').textContent())!, /threads/);
  await page.context().close();
});
