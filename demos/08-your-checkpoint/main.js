import { StableDiffusion } from '/dist/index.js';
import { explain, frames, loadModel, onDraw, show } from '../shared/demo.js';
import { dropped } from './drop.js';
import { showKept } from './kept.js';

const find = (selector) => document.querySelector(selector);
const form = find('#form');
const [canvas] = frames('#picture', ['The picture']);

/** What helps, by the code of the error: codes stay, messages may change. */
const HELP = {
  MISSING_FILE: 'Open the whole folder, with model_index.json in it, or a single file.',
  WEIGHTS_MISMATCH: 'It may be a LoRA, a ControlNet, or a model of another family.',
  INVALID_FILE: 'Download it again: it is not whole.',
  UNSUPPORTED_FORMAT: 'Convert it to .safetensors, for example with diffusers.',
  OUT_OF_MEMORY: 'Take weights of 8 bits, close other tabs, or try a smaller model.',
  NETWORK: 'Is the address right, and does its server allow other sites to read it (CORS)?',
  STORAGE: 'It can still be used: untick “Keep it on this device”.',
};

/** The promise of the model that is open, or on its way. */
let opening;
let stop;

/** @param source what `StableDiffusion.load` takes: an address or files */
async function open(source, name) {
  stop?.abort();
  stop = new AbortController();
  find('#error').hidden = true;
  find('#cancel').disabled = false;
  const mine = (opening = load(source, name, stop.signal, opening));
  const error = await mine.then(
    () => undefined,
    (reason) => reason,
  );
  // A newer load has taken over.
  if (mine !== opening) return;
  if (error) opening = undefined;
  if (error && error.code !== 'ABORTED') fail(error);
  find('#cancel').disabled = true;
  await showKept(open);
}

async function load(source, name, signal, before) {
  await before?.then((sd) => sd.dispose()).catch(() => {});
  const { dtype, keep } = form.elements;
  const sd = await loadModel(source, {
    dtype: dtype.value,
    keep: keep.checked,
    worker: new URL('./worker.js', import.meta.url),
    signal,
  });
  find('#engine').textContent += `. ${name}, made for ${sd.info.width} × ${sd.info.height}.`;
  return sd;
}

function fail(error) {
  find('#error').textContent = [explain(error), HELP[error.code]].filter(Boolean).join(' ');
  find('#error').hidden = false;
}

onDraw(
  async ({ sd, settings, signal, progress, noted }) => {
    if (!sd) return { instead: 'Open a model first.' };
    const { prompt, seed, steps, guidanceScale } = settings;
    const items = sd.stream({
      ...{ prompt, seed, steps, guidanceScale, signal },
      onProgress: progress(0, 1),
    });
    for await (const item of items) {
      if (item.type === 'step') item.preview?.toCanvas(canvas);
      else show(canvas, noted(item.result).image, `${prompt}, seed ${item.result.seed}`);
    }
  },
  // Nothing is loaded before somebody chooses.
  async () => opening,
);
find('#engine').textContent = 'No model is loaded yet.';
find('#cancel').addEventListener('click', () => stop?.abort());

find('#file').addEventListener('change', ({ target: { files } }) => {
  if (files[0]) open(files[0], files[0].name);
});
find('#folder').addEventListener('change', ({ target: { files } }) => {
  if (files[0]) open([...files], files[0].webkitRelativePath.split('/')[0]);
});
find('#fetch').addEventListener('click', () => {
  const address = form.elements.url.value.trim();
  if (address) open(address, address);
  else form.elements.url.focus();
});
document.addEventListener('dragover', (event) => event.preventDefault());
document.addEventListener('drop', async (event) => {
  event.preventDefault();
  try {
    const found = await dropped(event.dataTransfer);
    if (found) await open(found.source, found.name);
  } catch (error) {
    fail(error);
  }
});

StableDiffusion.availability().then(({ webgpu }) => {
  if (!webgpu.available) find('#engine').textContent += ' There is no GPU here: it will be slow.';
});
showKept(open);
