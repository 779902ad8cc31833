import { explain, frames, onDraw, openModel, show } from '../shared/demo.js';
import { Brush } from './brush.js';

const SIZE = 128;
const find = (selector) => document.querySelector(selector);

const form = find('#form');
const picture = find('#picture');
const maskCanvas = find('#mask');
const [result] = frames('#result', ['The result']);
const brush = new Brush(maskCanvas);
let finished;

/** What is painted over, once there is something. */
let start;

/** Until a person chooses a picture, the model draws it. */
function openStart() {
  if (start) return start;
  const mine = openModel().then(async (sd) => {
    const options = { prompt: 'hills in autumn, noon, clear', seed: 5, guidanceScale: 5 };
    const { image } = await sd.generate(options);
    // Somebody may have chosen one meanwhile.
    if (start === mine) image.toCanvas(picture);
    return image;
  });
  mine.catch(() => {
    if (start === mine) start = undefined;
  });
  return (start = mine);
}

onDraw(async ({ sd, settings, signal, progress, noted }) => {
  const { prompt, seed, steps } = settings;
  const image = await openStart();
  if (brush.isEmpty) return { instead: 'Nothing is painted over yet: paint on the picture first.' };
  const options = {
    ...{ prompt, image, mask: brush.toMask(SIZE, SIZE) },
    // Blurs the edge of the mask, and lays what is kept back over the result.
    ...{ maskBlur: 2, seed, steps, guidanceScale: 5, signal },
    onProgress: progress(0, 1),
  };
  const { image: painted } = noted(await sd.generate(options));
  show(result, painted, 'The result');
  finished = painted;
  find('#keep').disabled = false;
});
openStart();

async function choose(file) {
  if (!file) return;
  try {
    const bitmap = await createImageBitmap(file);
    const edge = Math.min(bitmap.width, bitmap.height);
    const context = picture.getContext('2d');
    picture.width = picture.height = SIZE;
    const [x, y] = [(bitmap.width - edge) / 2, (bitmap.height - edge) / 2];
    context.drawImage(bitmap, x, y, edge, edge, 0, 0, SIZE, SIZE);
    start = Promise.resolve(context.getImageData(0, 0, SIZE, SIZE));
  } catch (error) {
    find('#error').textContent =
      `That file is not a picture that can be read here. ${explain(error)}`;
    find('#error').hidden = false;
  }
}

find('#file').addEventListener('change', ({ target }) => choose(target.files[0]));
find('#clear').addEventListener('click', () => brush.clear());
find('#invert').addEventListener('click', () => brush.invert());
find('#erase').addEventListener('click', ({ target }) => {
  brush.erases = !brush.erases;
  target.setAttribute('aria-pressed', brush.erases);
});
find('#keep').addEventListener('click', () => {
  start = Promise.resolve(finished);
  finished.toCanvas(picture);
  brush.clear();
});
form.elements.brush.addEventListener('input', ({ target }) => (brush.size = Number(target.value)));
maskCanvas.addEventListener('resize-brush', () => {
  form.elements.brush.value = brush.size;
  form.dispatchEvent(new Event('input'));
});
brush.size = Number(form.elements.brush.value);
