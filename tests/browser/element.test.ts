import { StableDiffusion, type GenerateResult, type SDError } from '../../dist/index.js';
import { StableDiffusionElement } from '../../dist/element.js';
import { equal, ok } from './assert.ts';
import { TINY } from './tiny-model.ts';

const later = (ms: number) => new Promise<void>((done) => setTimeout(done, ms));

/** The next event of this name on `target`. */
function next<T>(target: EventTarget, name: string): Promise<T> {
  return new Promise((done) =>
    target.addEventListener(name, (event) => done((event as CustomEvent<T>).detail), {
      once: true,
    }),
  );
}

function part<E extends HTMLElement>(element: HTMLElement, name: string): E {
  return element.shadowRoot!.querySelector<E>(`[part~='${name}']`)!;
}

/** The element as plain HTML makes it. */
function put(attributes: Record<string, string>, parent: Element = document.body) {
  const element = document.createElement('stable-diffusion');
  const all = { src: TINY, backend: 'wasm', steps: '2', seed: '5', ...attributes };
  for (const [name, value] of Object.entries(all)) element.setAttribute(name, value);
  parent.append(element);
  return element;
}

const downloads = () =>
  performance.getEntriesByType('resource').filter(({ name }) => name.startsWith(TINY)).length;

describe('<stable-diffusion>', () => {
  afterEach(() => {
    for (const element of document.querySelectorAll('stable-diffusion')) element.remove();
  });

  it('downloads nothing before a click, and then draws what the SDK draws', async () => {
    const element = put({ prompt: 'the lake', 'guidance-scale': '4' });
    let workers = 0;
    element.loadOptions = {
      threads: 1, // the next would be a worker too
      keep: false, // another file's tests may have kept this model: nothing would be downloaded
      worker: () => {
        workers++;
        return new Worker('/dist/worker.js', { type: 'module' });
      },
    };
    await later(200);
    equal([workers, downloads(), element.value], [0, 0, null]);
    const phases = new Set<string>();
    const steps: number[] = [];
    element.addEventListener('progress', (event) =>
      phases.add((event as Event as CustomEvent<{ phase: string }>).detail.phase),
    );
    element.addEventListener('step', (event) =>
      steps.push((event as CustomEvent<{ step: number }>).detail.step),
    );
    const drawn = next<GenerateResult>(element, 'image');
    part(element, 'draw-button').click();
    equal(part(element, 'figure').getAttribute('aria-busy'), 'true');
    ok(part(element, 'draw-button').hidden && !part(element, 'cancel-button').hidden);
    const { image } = await drawn;
    equal(workers, 1);
    equal(steps, [1, 2]);
    for (const phase of ['download', 'encode', 'denoise', 'decode']) ok(phases.has(phase), phase);

    const sd = await StableDiffusion.load(TINY, { backend: 'wasm', keep: false });
    const options = { prompt: 'the lake', steps: 2, seed: 5, guidanceScale: 4 };
    const { image: same } = await sd.generate(options);
    await sd.dispose();
    ok(image.data.join() === same.data.join(), 'another picture');

    await later(0);
    equal(part(element, 'figure').getAttribute('aria-busy'), 'false');
    ok(/seed 5/.test(part(element, 'aloud').textContent));
    const shown = part<HTMLImageElement>(element, 'image');
    equal([shown.hidden, shown.naturalWidth, shown.alt], [false, 64, 'the lake']);
  });

  it('is a field of its form: the picture is its value', async () => {
    const form = document.createElement('form');
    document.body.append(form);
    const element = put({ name: 'picture', prompt: 'a', required: '' }, form);
    equal([element.form === form, form.checkValidity()], [true, false]);
    equal(element.validity.valueMissing, true);
    await element.generate({ steps: 1 });
    equal(form.checkValidity(), true);
    const file = new FormData(form).get('picture') as File;
    equal([file.type, file.name], ['image/png', '5.png']);
    equal((await createImageBitmap(file)).width, 64);
    element.prompt = 'b';
    form.reset();
    equal([element.value, element.prompt, form.checkValidity()], [null, 'a', false]);
    const fieldset = document.createElement('fieldset');
    fieldset.disabled = true;
    form.append(fieldset);
    fieldset.append(element);
    equal(part<HTMLButtonElement>(element, 'draw-button').disabled, true);
    form.remove();
  });

  it('shows and sends as many pictures as `count` asks for', async () => {
    const form = document.createElement('form');
    document.body.append(form);
    const attributes = { 'guidance-start': '0.5', 'guidance-end': '1', keep: 'false' };
    const element = put({ name: 'pictures', prompt: 'a', count: '2', ...attributes }, form);
    const { images } = await element.generate();
    const shown = [...element.shadowRoot!.querySelectorAll<HTMLImageElement>("[part~='image']")];
    equal(
      shown.map(({ alt, naturalWidth }) => [alt, naturalWidth]),
      [
        ['a (1 of 2)', 64],
        ['a (2 of 2)', 64],
      ],
    );
    const names = () => new FormData(form).getAll('pictures').map((file) => (file as File).name);
    equal(names(), ['5.png', '6.png']);
    const sd = await element.load();
    const options = { prompt: 'a', steps: 2, seed: 5, count: 2, guidanceStart: 0.5 };
    const same = await sd.generate(options);
    ok(images[1].data.join() === same.images[1].data.join(), 'another picture');
    const whole = await sd.generate({ ...options, guidanceStart: 0 });
    ok(images[1].data.join() !== whole.images[1].data.join(), 'guidance-start does nothing');

    element.setAttribute('subseed', '9');
    element.subseedStrength = 0.5;
    element.count = 1;
    const varied = await element.generate();
    const blend = { ...options, count: 1, subseed: 9, subseedStrength: 0.5 };
    ok(varied.image.data.join() === (await sd.generate(blend)).image.data.join(), 'no variation');
    equal(names(), ['5.png']);
    await element.generate({ steps: 1, count: 2 });
    element.removeAttribute('name');
    equal([...new FormData(form).keys()], []);
    element.name = 'later';
    equal([...new FormData(form).keys()], ['later', 'later']);
    element.src = undefined;
    await element.generate({ steps: 1 }).catch(() => {});
    equal(part(element, 'pictures').hidden, false);
    form.remove();
  });

  it('refuses bad options before it downloads, as text and as an event that does not bubble', async () => {
    const before = downloads();
    const host = document.createElement('div');
    document.body.append(host);
    const inner = host.attachShadow({ mode: 'open' });
    const element = put({ steps: '<img src=x onerror=alert(1)>' }, inner as unknown as Element);
    let atWindow = 0;
    const count = () => atWindow++;
    window.addEventListener('error', count);
    const [outside, inside] = [next<SDError>(host, 'error'), next<SDError>(element, 'error')];
    part(element, 'draw-button').click();
    equal((await inside).code, 'INVALID_OPTION');
    equal(await outside, await inside);
    window.removeEventListener('error', count);
    equal([atWindow, downloads() - before], [0, 0]);
    ok(part(element, 'error').textContent.includes('INVALID_OPTION'));
    equal(element.shadowRoot!.querySelectorAll('img:not([part])').length, 0);
    element.removeAttribute('src');
    element.steps = 1;
    const error = await element.generate().catch((reason: unknown) => reason as SDError);
    equal((error as SDError).code, 'INVALID_OPTION');
    host.remove();
  });

  it('stops at Cancel, with the keyboard where it was, and draws again', async () => {
    const element = put({ prompt: 'a', steps: '1000' });
    part(element, 'draw-button').focus();
    part(element, 'draw-button').click();
    ok(element.shadowRoot!.activeElement === part(element, 'cancel-button'), 'focus on Cancel');
    await next(element, 'step');
    const begin = performance.now();
    part(element, 'cancel-button').click();
    while (part(element, 'status').textContent !== 'Cancelled.') await later(10);
    ok(performance.now() - begin < 5000);
    ok(element.shadowRoot!.activeElement === part(element, 'draw-button'), 'focus on Draw');
    equal((await element.generate({ steps: 1 })).seed, 5);
    const [first, second] = [
      element.generate({ steps: 1000 }).catch((error: SDError) => error.code),
      element.generate({ steps: 1, seed: 6 }).then(({ seed }) => seed),
    ];
    equal(await Promise.all([first, second]), ['ABORTED', 6]);
  });

  it('draws at once after a cancelled download, and tells of an end that nobody waited for', async () => {
    const element = put({ prompt: 'a', keep: 'false' });
    const told: string[] = [];
    for (const type of ['abort', 'error', 'image'])
      element.addEventListener(type, (event) =>
        told.push([type, (event as CustomEvent<{ code?: string }>).detail.code].join(' ').trim()),
      );
    part(element, 'draw-button').click();
    await later(0);
    element.abort();
    equal((await element.generate({ steps: 1 })).seed, 5);
    equal(told, ['image']);
    part(element, 'draw-button').click();
    part(element, 'cancel-button').click();
    while (told.length < 2) await later(10);
    equal(told, ['image', 'abort ABORTED']);
  });

  it('lets a finger rest on the picture, and gives its prompt the keyboard when asked', async () => {
    const element = put({ prompt: 'a', id: 'labelled' });
    const prompt = part(element, 'prompt');
    // What a click focuses is the nearest that can be focused.
    for (const name of ['figure', 'status'])
      ok(part(element, name).closest('[tabindex]') === part(element, 'base'), name);
    const label = document.createElement('label');
    label.htmlFor = 'labelled';
    document.body.append(label);
    label.click();
    ok(element.shadowRoot!.activeElement === prompt, 'by its label');
    (document.activeElement as HTMLElement).blur();
    element.focus();
    ok(element.shadowRoot!.activeElement === prompt, 'by focus()');
    label.remove();
  });

  it('takes its picture along to another document', async () => {
    const element = put({ prompt: 'a' });
    await element.generate({ steps: 1 });
    const frame = document.createElement('iframe');
    document.body.append(frame);
    const inner = frame.contentDocument!;
    inner.body.append(inner.adoptNode(element));
    await later(100);
    const image = part<HTMLImageElement>(element, 'image');
    equal([image.complete, image.naturalWidth], [true, 64]);
    equal(frame.contentWindow!.getComputedStyle(element).display, 'block');
    equal((await element.generate({ steps: 1, seed: 6 })).seed, 6);
    // Out of every page its addresses are given up, and there again when it is back.
    const address = part<HTMLImageElement>(element, 'image').src;
    element.remove();
    await later(0);
    equal(await fetch(address).then(() => 'there', () => 'gone'), 'gone'); // prettier-ignore
    document.body.append(element);
    const now = part<HTMLImageElement>(element, 'image').src;
    equal((await fetch(now)).headers.get('Content-Type'), 'image/png');
    frame.remove();
  });

  it('keeps its model when it is moved, and lets go of it when it is removed', async () => {
    const element = put({ prompt: 'a' });
    const sd = await element.load();
    const other = document.createElement('div');
    document.body.append(other);
    other.append(element);
    await later(0);
    ok((await element.load()) === sd, 'still the same');
    other.remove();
    await later(0);
    equal(await sd.generate('a').catch((error: SDError) => error.code), 'DISPOSED');
  });

  it('takes properties set before it was defined, and mirrors them as attributes', async () => {
    class Later extends StableDiffusionElement {}
    const early = document.createElement('later-diffusion') as Later;
    Object.assign(early, { guidanceScale: 3, negativePrompt: 'fog', seamless: true });
    document.body.append(early);
    customElements.define('later-diffusion', Later);
    equal(
      ['guidance-scale', 'negative-prompt', 'seamless'].map((name) => early.getAttribute(name)),
      ['3', 'fog', ''],
    );
    equal([early.guidanceScale, early.seamless, early.autorun], [3, true, false]);
    early.keep = false;
    equal([early.getAttribute('keep'), early.keep], ['false', false]);
    early.guidanceScale = undefined;
    equal(early.hasAttribute('guidance-scale'), false);
    const field = part<HTMLTextAreaElement>(early, 'prompt');
    field.value = 'typed';
    field.dispatchEvent(new Event('input'));
    equal(early.prompt, 'typed');
    early.remove();
  });

  it('shows a canvas on a page whose policy allows no pictures of blobs', async () => {
    const frame = document.createElement('iframe');
    frame.srcdoc = `<meta http-equiv="Content-Security-Policy" content="img-src 'none'">
      <script type="module" src="/dist/element.js"></script>`;
    const loaded = new Promise((done) => frame.addEventListener('load', done, { once: true }));
    document.body.append(frame);
    await loaded;
    const inner = frame.contentDocument!;
    const element = inner.createElement('stable-diffusion');
    for (const [name, value] of Object.entries({ src: TINY, backend: 'wasm', prompt: 'a' }))
      element.setAttribute(name, value);
    inner.body.append(element);
    await element.generate({ steps: 1 });
    const shown = part<HTMLCanvasElement>(element, 'image');
    equal([shown.localName, shown.width, shown.getAttribute('aria-label')], ['canvas', 64, 'a']);
    frame.remove();
  });

  it('takes a function for its model, called at the first need', async () => {
    const element = put({ prompt: 'a', src: '' });
    let calls = 0;
    element.model = async () => {
      calls++;
      await later(10);
      return TINY;
    };
    await later(50);
    equal(calls, 0);
    equal((await element.generate({ steps: 1 })).seed, 5);
    await element.generate({ steps: 1 });
    equal(calls, 1);
    element.model = (signal) =>
      new Promise((_, fail) => signal.addEventListener('abort', () => fail(signal.reason)));
    const run = element.generate().catch((error: SDError) => error.code);
    await later(50);
    element.abort();
    equal(await run, 'ABORTED');
    element.model = () => {
      throw new Error('nothing here');
    };
    equal(await element.generate().catch((error: SDError) => error.code), 'INTERNAL');
  });

  it('is nothing that axe complains of: empty, at work, done, failed, disabled', async () => {
    await import('/node_modules/axe-core/axe.min.js' as string);
    const { axe } = window as unknown as {
      axe: {
        run(context: Element): Promise<{ violations: { id: string; nodes: { html: string }[] }[] }>;
      };
    };
    const complaints = async (when: string, element: Element) =>
      (await axe.run(element)).violations.map(
        ({ id, nodes }) => `${when}: ${id} ${nodes.map(({ html }) => html).join(' ')}`,
      );
    const element = put({ prompt: 'the lake' });
    const found = await complaints('empty', element);
    const run = element.generate({ steps: 1000 }).catch(() => {});
    await next(element, 'step');
    found.push(...(await complaints('at work', element)));
    element.abort();
    await run;
    await element.generate();
    found.push(...(await complaints('done', element)));
    await element.generate({ steps: 0 }).catch(() => {});
    found.push(...(await complaints('failed', element)));
    element.disabled = true;
    found.push(...(await complaints('disabled', element)));
    equal(found, []);
  });

  it('runs by itself only where it may, and holds still where motion is unwelcome', async () => {
    const connection = { saveData: true };
    Object.defineProperty(navigator, 'connection', { value: connection, configurable: true });
    const { matchMedia } = window;
    window.matchMedia = (query) =>
      query.includes('reduced-motion') ? ({ matches: true } as MediaQueryList) : matchMedia(query);
    try {
      const thrifty = put({ prompt: 'a', autorun: '' });
      await later(100);
      equal(part(thrifty, 'figure').getAttribute('aria-busy'), 'false');
      ok(/downloads the model/.test(part(thrifty, 'status').textContent));
      connection.saveData = false;
      const running = put({ prompt: 'a', autorun: '' });
      const previews: unknown[] = [];
      running.addEventListener('step', (event) =>
        previews.push((event as CustomEvent<{ preview?: unknown }>).detail.preview),
      );
      await next(running, 'image');
      equal(previews, [undefined, undefined]);
    } finally {
      window.matchMedia = matchMedia;
      Reflect.deleteProperty(navigator, 'connection');
    }
  });
});
