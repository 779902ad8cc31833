import { distance, explain, frames, onDraw, percent, show } from '../shared/demo.js';

const STRENGTHS = [0.2, 0.4, 0.6, 0.8];
const SIZE = 128;

const [startFrame, resultFrame] = frames('#pair', ['Start', 'Result']);
const row = frames(
  '#row',
  STRENGTHS.map((strength) => `Strength ${strength}`),
);
const form = document.querySelector('#form');
const note = document.querySelector('#start-note');
/** What the person chose; until then the model draws its own start. */
let chosen;
let drawn;

const draw = onDraw(async ({ sd, settings, signal, progress, noted }) => {
  const { prompt, strength, seed, steps } = settings;
  const own = { prompt: 'a red house in hills, autumn, noon', seed: 5, guidanceScale: 5 };
  drawn ??= (await sd.generate({ ...own, signal })).image;
  const start = chosen ?? drawn;
  show(startFrame, start, 'Start');

  const all = [strength, ...STRENGTHS];
  const same = { prompt, image: start, seed, steps, guidanceScale: 5, signal };
  for (const [i, value] of all.entries()) {
    const options = { ...same, strength: value, onProgress: progress(i, all.length) };
    const { image } = noted(await sd.generate(options));
    const away = percent(distance(start, image));
    show(i === 0 ? resultFrame : row[i - 1], image, `Strength ${value}: ${away} away`);
  }
});

// The slider answers at once; a run that is under way makes room.
form.elements.strength.addEventListener('change', draw);

/** A square of the picture's middle at the model's size, as pixels that can be compared. */
async function choose(file) {
  if (!file) return;
  try {
    const bitmap = await createImageBitmap(file);
    const edge = Math.min(bitmap.width, bitmap.height);
    const canvas = new OffscreenCanvas(SIZE, SIZE).getContext('2d');
    const [x, y] = [(bitmap.width - edge) / 2, (bitmap.height - edge) / 2];
    canvas.drawImage(bitmap, x, y, edge, edge, 0, 0, SIZE, SIZE);
    chosen = canvas.getImageData(0, 0, SIZE, SIZE);
    note.textContent = `${file.name}, its middle at ${SIZE} × ${SIZE}`;
    await draw();
  } catch (error) {
    note.textContent = `That file is not a picture that can be read here. ${explain(error)}`;
  }
}

document.querySelector('#file').addEventListener('change', ({ target }) => choose(target.files[0]));
document.addEventListener('dragover', (event) => event.preventDefault());
document.addEventListener('drop', (event) => {
  event.preventDefault();
  choose(event.dataTransfer.files[0]);
});
