import '../../dist/element.js';
import type { SDError } from '../../dist/index.js';
import { equal, ok } from './assert.ts';
import { TINY } from './tiny-model.ts';

const MARKUP = '"><img src=x onerror="pwned=1"><script>pwned=2</script>';

/** The element with these attributes, after a click on its button, and what then happened. */
async function draw(attributes: Record<string, string>) {
  const element = document.createElement('stable-diffusion');
  for (const [name, value] of Object.entries({ backend: 'wasm', steps: '1', ...attributes }))
    element.setAttribute(name, value);
  document.body.append(element);
  const ended = new Promise<Event>((done) => {
    for (const name of ['image', 'error']) element.addEventListener(name, done, { once: true });
  });
  element.shadowRoot!.querySelector<HTMLElement>("[part~='draw-button']")!.click();
  const event = (await ended) as CustomEvent<SDError>;
  // What a parser would have made of it had its time.
  await new Promise((done) => setTimeout(done, 100));
  const inside = element.shadowRoot!;
  equal(inside.querySelectorAll('script, [onerror], img[src="x"]').length, 0);
  equal((globalThis as { pwned?: number }).pwned, undefined);
  return { inside, event };
}

describe('hostile texts in <stable-diffusion>', () => {
  afterEach(() => document.querySelector('stable-diffusion')?.remove());

  it('shows markup in a prompt as text', async () => {
    const { event, inside } = await draw({ src: TINY, prompt: MARKUP, alt: MARKUP });
    equal(event.type, 'image');
    ok(inside.querySelector('canvas, img'));
  });

  for (const src of [`/no-such-model/${MARKUP}/`, 'javascript:pwned=3', 'https://a:b@c.invalid/'])
    it(`shows the error of a model at ${src} as text`, async () => {
      const { event } = await draw({ src, prompt: 'a lake' });
      equal(event.type, 'error');
      ok(['MISSING_FILE', 'INVALID_OPTION'].includes(event.detail.code), event.detail.code);
    });
});
