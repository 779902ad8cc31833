import { frames, show } from '../shared/demo.js';

const find = (selector) => document.querySelector(selector);
const [send, abort] = [find('#send'), find('#abort')];
const [canvas] = frames('#received', ['The picture that the frame gave to this page']);

/** The second address of `npm start`: another port is another origin, as another site would be. */
async function otherOrigin() {
  const response = await fetch('other-origin.json');
  if (!response.ok) throw new Error(`status ${response.status}`);
  return (await response.json()).origin;
}

function embed(origin) {
  const script = document.createElement('script');
  script.src = `${origin}/demos/embed/embed.js`;
  script.dataset.prompt = 'a red lighthouse by the sea at dusk';
  script.dataset.seed = '11';
  script.dataset.guidanceScale = '5';
  script.dataset.steps = '20';
  find('#paste').textContent = script.outerHTML;
  script.addEventListener('load', () => listen(find('#frame iframe')));
  script.addEventListener('error', () => fail(`${script.src} could not be loaded.`));
  find('#frame').append(script);
  find('#where').textContent = `This page is ${location.origin}, the frame is ${origin}.`;
}

function listen(frame) {
  frame.addEventListener('stable-diffusion', ({ detail }) => {
    find('#error').hidden = true;
    abort.disabled = detail.type !== 'progress';
    if (detail.type === 'progress' && detail.phase === 'denoise')
      find('#live').textContent = `The frame is at step ${detail.done} of ${detail.total}.`;
    if (detail.type === 'abort') find('#live').textContent = 'The frame was stopped.';
    if (detail.type === 'image') receive(detail);
    if (detail.type === 'error' && detail.code === 'NOT_STARTED')
      fail('Press Draw inside of the frame once: it may not download before somebody has.');
    else if (detail.type === 'error') fail(detail.message);
  });
  find('#form').addEventListener('submit', (event) => {
    event.preventDefault();
    const prompt = event.target.elements.prompt.value;
    frame.stableDiffusion?.postMessage({ type: 'prompt', prompt });
    frame.stableDiffusion?.postMessage({ type: 'generate' });
  });
  abort.addEventListener('click', () => frame.stableDiffusion?.postMessage({ type: 'abort' }));
  send.disabled = false;
}

async function receive({ file, seed }) {
  const bitmap = await createImageBitmap(file);
  const surface = new OffscreenCanvas(bitmap.width, bitmap.height).getContext('2d');
  surface.drawImage(bitmap, 0, 0);
  const words = `The frame’s picture, seed ${seed}`;
  show(canvas, surface.getImageData(0, 0, bitmap.width, bitmap.height), words);
  find('#live').textContent = 'The picture has arrived.';
}

function fail(message) {
  find('#error').textContent = message;
  find('#error').hidden = false;
}

otherOrigin().then(embed, () => {
  find('#where').textContent = 'There is no other site.';
  fail('This page needs the demos at a second address, which npm start gives them.');
});
