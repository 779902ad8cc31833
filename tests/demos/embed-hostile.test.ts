import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { draw, LISTEN, note, posted, Sites, told, type Around } from './frames.ts';

// Who embeds the frame may be anyone, and so may be who sits beside it on the same page.
let sites: Sites;

/** Listens as embed.js does, and keeps the frame's port for abuse. */
const OWN_PORT = `${LISTEN}
  <script>
    addEventListener('message', ({ ports }) => {
      window.port = ports[0];
      port.onmessage = ({ data }) => told.push(data);
    });
  </script>`;

before(async () => {
  sites = await Sites.open();
  const { pages, frames, around } = sites;
  pages.set('/port', {
    html: `${OWN_PORT}<iframe width="600" height="800" src="${frames}?steps=2&prompt=mine&parent=${around}"></iframe>`,
  });
  pages.set('/script', {
    html: `${LISTEN}<script src="${frames}embed.js" data-steps="2"></script>`,
  });
  // A page around whose script, and so whose frame, comes from a host that was taken over.
  const evil = around.replace('127.0.0.1', 'evil.localhost');
  pages.set('/embed.js', {
    html: readFileSync(new URL('../../demos/embed/embed.js', import.meta.url), 'utf8'),
    headers: { 'Content-Type': 'text/javascript' },
  });
  pages.set('/host', {
    html: `${LISTEN}<script src="${evil}/embed.js"></script><script>
      document.querySelector('iframe').addEventListener('stable-diffusion', ({ detail }) => told.push(detail));
    </script>`,
  });
  pages.set(`/?parent=${encodeURIComponent(around)}`, {
    html: `<stable-diffusion src="."></stable-diffusion><script>
      const { port1, port2 } = new MessageChannel();
      parent.postMessage({ type: 'stable-diffusion-web/ready', version: 1 }, '*', [port2]);
      for (const message of [null, 7, 'resize', { type: 'resize', height: 'all' }, { type: 'resize', height: 1e9 }])
        port1.postMessage(message);
    </script>`,
  });
  pages.set('/beside', {
    html: `<script>
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = ({ data }) => { document.title = 'got ' + JSON.stringify(data); };
      for (const version of [1, 2, '1'])
        parent.postMessage({ type: 'stable-diffusion-web/ready', version }, '*', version === 1 ? [port2] : []);
    </script>`,
  });
});
after(() => sites.close());

test('what the page around sends is checked, and floods do no harm', async () => {
  const { page, frame } = await sites.visit('/port');
  await page.waitForFunction(() => 'port' in window);
  await page.evaluate(() => {
    const { port } = window as unknown as { port: MessagePort };
    const polluted: unknown[] = [
      JSON.parse('{"__proto__":{"polluted":1},"type":"prompt","prompt":"<b>x</b>\ud800"}'),
      JSON.parse('{"type":"prompt","prompt":{"toString":1},"__proto__":{"type":"generate"}}'),
      JSON.parse('{"constructor":{"prototype":{"polluted":1}}}'),
      { type: 'src', src: 'https://evil.example/' },
      { type: 'load', model: 'https://evil.example/' },
      { type: 'prompt', prompt: 'x'.repeat(2001) },
      { type: 'GENERATE' },
      [['type', 'generate']],
      new Map([['type', 'generate']]),
      null,
    ];
    for (const message of polluted) port.postMessage(message);
    const inside = document.querySelector('iframe')!.contentWindow!;
    for (let i = 0; i < 5000; i++) {
      inside.postMessage({ type: 'generate', i }, '*');
      port.postMessage({ type: 'nothing', filler: 'x'.repeat(100) });
    }
    // The last one, so that an answer means that all of the others were read.
    port.postMessage({ type: 'generate' });
  });
  await page.waitForFunction(() => (window as unknown as Around).told.some(({ code }) => code));
  assert.deepEqual(
    (await told(page)).flatMap(({ code }) => code ?? []),
    ['NOT_STARTED'],
  );
  const inside = await frame.evaluate(() => ({
    polluted: ({} as { polluted?: unknown }).polluted,
    prompt: document.querySelector('stable-diffusion')!.prompt,
    src: new URL(document.querySelector('stable-diffusion')!.src!).origin === location.origin,
    busy: document.querySelector('stable-diffusion')!.shadowRoot!.querySelector('figure')!.ariaBusy,
  }));
  assert.deepEqual(inside, { polluted: undefined, prompt: 'mine', src: true, busy: 'false' });
  await draw(frame);
  // After a person's click the page may ask for more, and still for nothing else.
  await page.evaluate(() => {
    const { port } = window as unknown as { port: MessagePort };
    port.postMessage({ type: 'prompt', prompt: '<img src=x onerror=alert(1)>' });
    port.postMessage({ type: 'generate' });
  });
  await page.waitForFunction(
    () => (window as unknown as Around).told.filter(({ type }) => type === 'image').length === 2,
  );
  assert.equal(await frame.locator('img[src="x"]').count(), 0);
});

test('floods after the click end in the last picture that was asked for', async () => {
  const { page, frame } = await sites.visit('/port');
  await page.waitForFunction(() => 'port' in window);
  await draw(frame);
  await page.evaluate(() => {
    const { port, told } = window as unknown as Around & { port: MessagePort };
    told.length = 0;
    for (let i = 0; i < 500; i++) {
      port.postMessage({ type: 'prompt', prompt: `number ${i}` });
      port.postMessage({ type: i % 7 === 3 ? 'abort' : 'generate' });
    }
  });
  await page.waitForFunction(() =>
    (window as unknown as Around).told.some(({ type }) => type === 'image'),
  );
  const types = (await told(page)).map(({ type }) => type);
  assert.equal(types.filter((type) => type === 'image').length, 1);
  assert.ok(!types.includes('error'), types.join());
  assert.equal(await frame.getByLabel('Prompt').inputValue(), 'number 499');
  await draw(frame);
});

test('the frame may be replaced by another page, which then gets no further than a stranger', async () => {
  const { page } = await sites.visit('/script');
  await page.waitForFunction(() => 'stableDiffusion' in document.querySelector('iframe')!);
  const errors: string[] = [];
  page.on('pageerror', ({ message }) => errors.push(message));
  // Its window is the frame's own; only its origin is not.
  await page.evaluate(
    (address) => (document.querySelector('iframe')!.src = address),
    `${sites.around.replace('127.0.0.1', 'evil.localhost')}/beside`,
  );
  await page.waitForFunction(() => (window as unknown as Around).posted.length >= 4);
  const evil = page.frames().find((one) => one.url().endsWith('/beside'))!;
  await page.evaluate(() => {
    const { stableDiffusion } = document.querySelector('iframe') as unknown as {
      stableDiffusion: MessagePort;
    };
    stableDiffusion.postMessage({ type: 'prompt', prompt: 'a secret' });
  });
  await page.waitForTimeout(200);
  assert.equal(await evil.title(), '');
  assert.deepEqual(errors, []);
});

test('a frame that sends nonsense breaks nothing on the page around', async () => {
  const { page } = await sites.visit('/host');
  const errors: string[] = [];
  page.on('pageerror', ({ message }) => errors.push(message));
  await page.waitForFunction(() => (window as unknown as Around).told.length >= 4);
  assert.deepEqual(await told(page), [null, 7, 'resize', { type: 'resize', height: 'all' }]);
  const height = await page.$eval('iframe', ({ style }) => style.height);
  assert.equal(height, '4000px');
  assert.deepEqual(errors, []);
});

test('a frame beside it cannot pass for it', async () => {
  const { page, frame } = await sites.visit('/script');
  await page.waitForFunction(() => 'stableDiffusion' in document.querySelector('iframe')!);
  await page.evaluate(
    (address) =>
      new Promise((done) => {
        const beside = document.createElement('iframe');
        beside.onload = done;
        beside.src = address;
        document.body.append(beside);
      }),
    `${sites.around.replace('127.0.0.1', 'evil.localhost')}/beside`,
  );
  await page.waitForFunction(() => (window as unknown as Around).posted.length >= 4);
  // The host still talks to the real one.
  const answer = await page.evaluate(
    () =>
      new Promise((done) => {
        const real = document.querySelector('iframe')! as HTMLIFrameElement & {
          stableDiffusion: MessagePort;
        };
        real.addEventListener('stable-diffusion', (event) => done((event as CustomEvent).detail));
        real.stableDiffusion.postMessage({ type: 'generate' });
      }),
  );
  assert.equal((answer as { code: string }).code, 'NOT_STARTED');
  const evil = page.frames().find((one) => one.url().endsWith('/beside'))!;
  assert.equal(await evil.title(), '');
  assert.equal(await frame.getByRole('figure').getAttribute('aria-busy'), 'false');
});

test('nothing in the address is believed: no script, no other host, no huge numbers', async () => {
  const context = await sites.browser.newContext();
  const page = await context.newPage();
  const asked = new Set<string>();
  let dialogs = 0;
  context.on('request', (request) => asked.add(new URL(request.url()).origin));
  page.on('dialog', (dialog) => {
    dialogs++;
    void dialog.dismiss();
  });
  const evil = 'https://evil.example';
  const hostile: Record<string, string[]> = {
    prompt: ['"><img src=x onerror=alert(1)><script>alert(1)</script>'],
    'negative-prompt': ['</textarea><svg onload=alert(1)>'],
    model: [`${evil}/m/`, `//evil.example/m/`, '/\\evil.example/', 'javascript:alert(1)', 'data:,'],
    parent: ['*', 'null', 'javascript:alert(1)', `${evil}/path`],
    width: ['1e9', '999999999999', '-64', '0x400'],
    steps: ['99999', 'Infinity', 'NaN'],
    seed: ['1e308', '-1', '9007199254740993'],
    sampler: ['<b>', 'x'.repeat(5000), 'constructor.constructor("alert(1)")()'],
    backend: ['__proto__', 'reference'],
    __proto__x: ['1'],
    'Your session has ended. Log in at evil.example': ['1'],
    onload: ['alert(1)'],
    autorun: [''],
    src: [`${evil}/`],
    style: ['background:url(https://evil.example/)'],
  };
  const most = Math.max(...Object.values(hostile).map(({ length }) => length));
  for (let i = 0; i < most; i++) {
    const query = new URLSearchParams(
      Object.entries(hostile).flatMap(([name, all]) =>
        all[i] === undefined ? [] : [[name, all[i]]],
      ),
    );
    query.set('__proto__', 'polluted');
    await page.goto(`${sites.frames}?${query}#<img src=x onerror=alert(1)>`);
    await page.waitForSelector('stable-diffusion[src]', { state: 'attached' });
    const refused = [...query.keys()].filter((name) => !/prompt| /.test(name));
    const said = await note(page.mainFrame());
    assert.match(said, /Not understood in the address/);
    for (const name of refused) assert.ok(said.includes(name), name);
    assert.doesNotMatch(said, /session|evil/);
    assert.equal(await page.evaluate(() => (({}) as { polluted?: unknown }).polluted), undefined);
    assert.deepEqual(
      await page.$eval('stable-diffusion', (element) =>
        element.getAttributeNames().filter((name) => !/^(prompt|negative-prompt|src)$/.test(name)),
      ),
      [],
    );
    assert.equal(await page.locator('img[src="x"], svg, script:not([src])').count(), 0);
  }
  assert.deepEqual([...asked], [new URL(sites.frames).origin]);
  assert.equal(dialogs, 0);
  assert.deepEqual(await posted(page).catch(() => undefined), undefined);
  await context.close();
});
