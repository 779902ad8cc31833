import { explain, frames, loadModel, onDraw, show } from '../shared/demo.js';
import { Brush } from './brush.js';

const SIZE = 128;
const find = (selector) => document.querySelector(selector);

const form = find('#form');
const picture = find('#picture');
const maskCanvas = find('#mask');
const [result] = frames('#result', ['The result']);
const brush = new Brush(maskCanvas);
let finished;

const loading = loadModel();
/** What is painted over: until a person chooses one, the model draws it. */
let start = loading.then(async (sd) => {
  const options = { prompt: 'hills in autumn, noon, clear', seed: 5, steps: 25, guidanceScale: 5 };
  const { image } = await sd.generate(options);
  image.toCanvas(picture);
  return image;
});
start.catch(() => {});

onDraw(async ({ sd, settings, signal, progress }) => {
  const { prompt, seed, steps } = settings;
  const image = await start;
  if (brush.isEmpty) return 'Nothing is painted over yet: paint on the picture first.';
  const { image: painted } = await sd.generate({
    ...{ prompt, image, mask: brush.toMask(SIZE, SIZE) },
    // Blurs the edge of the mask, and lays what is kept back over the result.
    ...{ maskBlur: 2, seed, steps, guidanceScale: 5, signal },
    onProgress: progress(0, 1),
  });
  show(result, painted, 'The result');
  finished = painted;
  find('#keep').disabled = false;
}, loading);

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
