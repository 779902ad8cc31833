import { frames, onDraw, openModel, show } from '../shared/demo.js';
import { plot } from './plot.js';

const find = (selector) => document.querySelector(selector);
const form = find('#form');
const at = find('#at');
const [guess, final] = frames('#now', ['The picture it has in mind', 'What becomes of it']);

let taken = [];
let words = [];

onDraw(async ({ sd, settings, signal, progress, noted }) => {
  const { prompt, seed, steps, sampler } = settings;
  taken = [];
  for await (const item of sd.stream({
    ...{ prompt, seed, steps, sampler, guidanceScale: 5, signal },
    ...{ preview: 'vae', inspect: ['attention'] },
    onProgress: progress(0, 1),
  })) {
    if (item.type === 'result') {
      show(final, noted(item.result).image, 'What became of it');
      continue;
    }
    const { preview, attention, timestep } = item;
    const found = mapsByWord(attention);
    if (taken.length === 0)
      words = frames(
        '#words',
        found.map(({ word }) => word),
      );
    taken.push({ preview, found, size: [attention.width, attention.height], timestep });
    showStep(taken.length);
  }
});

/** The maps of the prompt's words: a word's tokens summed, the markers and the padding left out. */
function mapsByWord({ tokens, maps, width, height }) {
  const size = width * height;
  const found = [];
  let map = new Float32Array(size);
  let word = '';
  for (const [i, token] of tokens.entries()) {
    if (token.startsWith('<|start')) continue;
    if (token.startsWith('<|end')) break;
    map = map.map((value, j) => value + maps[i * size + j]);
    word += token.replace('</w>', '');
    if (!token.endsWith('</w>')) continue;
    if (/\p{L}/u.test(word)) found.push({ word, map });
    [map, word] = [new Float32Array(size), ''];
  }
  return found;
}

function showStep(step) {
  const { preview, found, size, timestep } = taken[step - 1];
  at.disabled = false;
  at.max = taken.length;
  at.value = step;
  find('#at-out').textContent = `${step} of ${taken.length}, t = ${Math.round(timestep)}`;
  show(guess, preview, 'The picture it has in mind');
  found.forEach(({ word, map }, i) => show(words[i], spotlight(preview, map, size), word));
}

/** The picture, dark where the map is low. */
function spotlight(picture, map, [width, height]) {
  const [least, most] = [Math.min(...map), Math.max(...map)];
  const shade = new ImageData(width, height);
  map.forEach((value, i) => {
    shade.data[4 * i + 3] = 235 * (1 - (value - least) / (most - least || 1));
  });
  const small = new OffscreenCanvas(width, height);
  small.getContext('2d').putImageData(shade, 0, 0);
  const context = new OffscreenCanvas(picture.width, picture.height).getContext('2d');
  context.putImageData(picture.toImageData(), 0, 0);
  context.imageSmoothingQuality = 'high';
  context.drawImage(small, 0, 0, picture.width, picture.height);
  return context.getImageData(0, 0, picture.width, picture.height);
}

/** The path of the chosen sampler, without drawing anything. */
async function showSchedule() {
  const sd = await openModel();
  const [steps, sampler] = [Number(form.elements.steps.value), form.elements.sampler.value];
  const { timesteps, sigmas, alphasCumprod } = await sd.schedule({ steps, sampler });
  const left = (t) => alphasCumprod[Math.max(0, Math.min(999, Math.round(t)))];
  plot(
    find('#signal'),
    Array.from(alphasCumprod, (value, t) => [t, value]),
    timesteps.map((t) => [t, left(t)]),
    { left: 't = 0, picture', right: 'noise, t = 999', top: '1', bottom: '0' },
    `ᾱ falls from 1 to ${left(999).toFixed(3)}. ${sampler} looks at ${timesteps.length} times, from ${Math.round(timesteps[0])} to ${Math.round(timesteps.at(-1))}.`,
  );
  const steep = sigmas.map((sigma, i) => [i + 1, Math.log(sigma)]);
  plot(
    find('#sigmas'),
    steep,
    steep,
    {
      ...{ left: 'step 1', right: `step ${sigmas.length}` },
      ...{ top: sigmas[0].toFixed(1), bottom: sigmas.at(-1).toFixed(2) },
    },
    `σ falls from ${sigmas[0].toFixed(2)} to ${sigmas.at(-1).toFixed(3)} in ${sigmas.length} steps.`,
  );
}

at.addEventListener('input', () => showStep(Number(at.value)));
for (const name of ['steps', 'sampler'])
  form.elements[name].addEventListener('change', () => showSchedule().catch(() => {}));
showSchedule().catch(() => {});
