import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { draw, LISTEN, note, posted, Sites, told, type Around } from './frames.ts';

let sites: Sites;

before(async () => {
  sites = await Sites.open();
  const { pages, frames, around } = sites;
  const iframe = (attributes: string, query = `?steps=2&parent=${around}`) =>
    `${LISTEN}<iframe ${attributes} width="600" height="800" src="${frames}${query}"></iframe>`;
  const script = `${LISTEN}
    <script src="${frames}embed.js" data-prompt="&lt;b&gt;a lake" data-steps="2" data-seed="5"></script>
    <script>
      document.querySelector('iframe').addEventListener('stable-diffusion', ({ detail }) => told.push(detail));
    </script>`;
  pages.set('/script', { html: script });
  pages.set('/isolated', {
    html: script,
    headers: {
      'Cross-Origin-Opener-Policy': 'same-origin',
      'Cross-Origin-Embedder-Policy': 'require-corp',
    },
  });
  pages.set('/sandbox', { html: iframe('sandbox="allow-scripts"') });
  pages.set('/sandbox-same-origin', { html: iframe('sandbox="allow-scripts allow-same-origin"') });
  pages.set('/credentialless', { html: iframe('credentialless') });
  pages.set('/plain', { html: iframe('allow="storage-access"', '?steps=2') });
  pages.set('/stranger', {
    html: iframe('', '?parent=https://other.example&steps=9e9&onload=x'),
  });
});
after(() => sites.close());

test('one script tag: threads without the help of the page around, which gets the picture', async () => {
  const { page, frame } = await sites.visit('/script');
  assert.equal(await frame.evaluate(() => crossOriginIsolated), true);
  assert.equal(await frame.getByLabel('Prompt').inputValue(), '<b>a lake');
  // Nobody has clicked yet: the page around cannot make its visitors download.
  await page.waitForFunction(() => 'stableDiffusion' in document.querySelector('iframe')!);
  await page.evaluate(() => {
    const { stableDiffusion } = document.querySelector('iframe') as unknown as {
      stableDiffusion: MessagePort;
    };
    stableDiffusion.postMessage({ type: 'generate' });
  });
  await page.waitForFunction(() => (window as unknown as Around).told.length > 0);
  assert.deepEqual(
    (await told(page)).map(({ type, code }) => [type, code]),
    [['error', 'NOT_STARTED']],
  );

  const device = await draw(frame);
  const cores = await frame.evaluate(() => navigator.hardwareConcurrency);
  if (device.startsWith('WebAssembly') && cores > 1) assert.match(device, /[2-9] threads/);
  await page.waitForFunction(() =>
    (window as unknown as Around).told.some(({ type }) => type === 'image'),
  );
  const [seed, size] = await page.evaluate(async () => {
    const { seed, file } = (window as unknown as Around).told.find(({ type }) => type === 'image')!;
    return [seed, (await createImageBitmap(file!)).width];
  });
  assert.deepEqual([seed, size], [5, 128]);
  // A run that somebody stopped is told of too.
  const stopped = page.evaluate(
    () =>
      new Promise<string[]>((done) => {
        const all: string[] = [];
        const inside = document.querySelector('iframe') as HTMLIFrameElement & {
          stableDiffusion: MessagePort;
        };
        inside.addEventListener('stable-diffusion', (event) => {
          const { type } = (event as CustomEvent<{ type: string }>).detail;
          all.push(type);
          if (type === 'progress') inside.stableDiffusion.postMessage({ type: 'abort' });
          else done(all);
        });
        inside.stableDiffusion.postMessage({ type: 'generate' });
      }),
  );
  assert.equal((await stopped).at(-1), 'abort');
  // The frame is as high as what is in it.
  const [outer, inner] = await Promise.all([
    page.$eval('iframe', (iframe) => iframe.clientHeight),
    frame.evaluate(() => document.body.clientHeight),
  ]);
  assert.ok(Math.abs(outer - inner) <= 2, `${outer} around ${inner}`);
});

test('a sandboxed frame has no origin and no storage, and draws all the same', async () => {
  const { page, frame } = await sites.visit('/sandbox');
  assert.equal(await frame.evaluate(() => self.origin), 'null');
  await draw(frame);
  assert.match(await note(frame), /keeps nothing/);
  assert.deepEqual(await posted(page), [{ origin: 'null', ports: 1 }]);
});

test('a sandbox that leaves the origin leaves the storage too', async () => {
  const context = await sites.profile();
  const { page, frame } = await sites.visit('/sandbox-same-origin', context);
  assert.equal(await frame.evaluate(() => self.origin), new URL(sites.frames).origin);
  assert.doesNotMatch(await note(frame), /keeps nothing/);
  await draw(frame);
  const models = await frame.evaluate(async () => {
    const names = (await indexedDB.databases()).map(({ name }) => name);
    return names.includes('stable-diffusion-web');
  });
  assert.equal(models, true);
  assert.deepEqual(await posted(page), [{ origin: new URL(sites.frames).origin, ports: 1 }]);
  await context.close();
});

test('a credentialless frame draws, and says that it keeps nothing', async () => {
  const context = await sites.profile();
  const { frame } = await sites.visit('/credentialless', context);
  assert.equal(await frame.evaluate(() => Reflect.get(window, 'credentialless') as unknown), true);
  await draw(frame);
  assert.match(await note(frame), /keeps nothing/);
  const databases = await frame.evaluate(async () => (await indexedDB.databases()).length);
  assert.equal(databases, 0);
  await context.close();
});

test('an isolated page may frame it, and it has its threads there', async () => {
  const { page, frame } = await sites.visit('/isolated');
  assert.equal(await page.evaluate(() => crossOriginIsolated), true);
  assert.equal(await frame.evaluate(() => crossOriginIsolated), true);
  assert.match(await draw(frame), /WebAssembly|GPU/);
});

test('one download serves many sites, where the browser shares storage after a click', async () => {
  const context = await sites.profile();
  const other = sites.around.replace('127.0.0.1', 'other.localhost');
  const weights: string[] = [];
  context.on('request', (request) => {
    if (request.url().endsWith('.safetensors')) weights.push(request.url());
  });
  const first = await sites.visit('/plain', context);
  await draw(first.frame);
  const once = weights.length;
  assert.ok(once >= 3, `${once} requests for weights`);
  const pixels = (frame: typeof first.frame) =>
    frame.evaluate(() => document.querySelector('stable-diffusion')!.result!.image.data.join());
  const second = await sites.visit(`${other}/plain`, context);
  await second.frame.evaluate(
    (seed) => {
      document.querySelector('stable-diffusion')!.seed = seed;
    },
    await first.frame.evaluate(() => document.querySelector('stable-diffusion')!.result!.seed),
  );
  await draw(second.frame);
  assert.deepEqual(weights.slice(once), []);
  assert.equal(await pixels(second.frame), await pixels(first.frame));
  // Where the person says no, the site has a copy of its own.
  const third = await sites.visit('/plain', context);
  await third.frame.evaluate(() => {
    document.requestStorageAccess = () => Promise.reject(new DOMException('no', 'NotAllowedError'));
  });
  await draw(third.frame);
  assert.ok(weights.length > once, 'a copy of its own');
  await context.close();
});

test('a page that is not the named one hears nothing, and cannot get in', async () => {
  const { page, frame } = await sites.visit('/stranger');
  await page.evaluate(() => {
    const inside = document.querySelector('iframe')!.contentWindow!;
    const { port1 } = new MessageChannel();
    inside.postMessage({ type: 'generate' }, '*');
    inside.postMessage({ type: 'stable-diffusion-web/ready', version: 1 }, '*', [port1]);
  });
  await page.waitForTimeout(500);
  assert.deepEqual(await posted(page), []);
  assert.equal(await frame.getByRole('figure').getAttribute('aria-busy'), 'false');
  assert.match(await note(frame), /Not understood.*: steps, onload\./);
});

test('the frame’s headers and its oEmbed document', async () => {
  const page = await fetch(sites.frames);
  assert.equal(page.headers.get('document-isolation-policy'), 'isolate-and-require-corp');
  assert.equal(page.headers.get('cross-origin-resource-policy'), 'cross-origin');
  assert.match(page.headers.get('content-security-policy')!, /frame-ancestors \*/);
  const other = await fetch(new URL('../01-text-to-picture/', sites.frames));
  assert.match(other.headers.get('content-security-policy')!, /frame-ancestors 'self'/);
  const answer = await fetch(`${sites.frames}oembed.json?url=${encodeURIComponent(sites.frames)}`);
  assert.ok(((await answer.json()) as { html: string }).html.includes(`src="${sites.frames}"`));
  assert.equal((await fetch(`${sites.frames}oembed.json?url=https://evil.example/`)).status, 404);
});
