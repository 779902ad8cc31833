import { isSDError, StableDiffusion } from '/dist/index.js';
import { bindForm, readForm, showSizes, writeForm } from './form.js';
import { Stage } from './stage.js';
import { StartPicture } from './start-picture.js';

/** The small model that comes with the demos; `?model=` names another one. */
const MODEL = new URLSearchParams(location.search).get('model') ?? '/demos/landscapes/model/';

const form = document.querySelector('#form');
const drawButton = document.querySelector('#draw');
const cancelButton = document.querySelector('#cancel');
const engine = document.querySelector('#engine');

const stage = new Stage();
const start = new StartPicture((has) => {
  document.querySelector('#strength-field').hidden = !has;
});

/** The promise of the loaded model: drawing may be asked for while it still loads. */
let loading;
let run;
let source = MODEL;

function load() {
  const before = loading;
  const mine = (async () => {
    await before?.then((sd) => sd.dispose()).catch(() => {});
    engine.textContent = 'Loading the model …';
    stage.forgive();
    const sd = await StableDiffusion.load(source, {
      backend: form.elements.backend.value,
      // The server is this device: a second copy would only grow stale.
      keep: source !== MODEL,
      onProgress: ({ phase, done, total }) => {
        if (!['download', 'verify', 'load'].includes(phase)) return;
        const mib = (bytes) => (bytes / 2 ** 20).toFixed(1);
        const of = total ? ` of ${mib(total)}` : '';
        engine.textContent = `Loading the model: ${mib(done)}${of} MiB`;
      },
    });
    engine.textContent = [sd.info.device, ...sd.info.notices].join('. ');
    showSizes(form, sd.info);
    return sd;
  })();
  mine.catch((error) => {
    if (mine !== loading) return;
    loading = undefined;
    engine.textContent = 'No model is loaded.';
    stage.fail(explain(error));
  });
  loading = mine;
}

function explain(error) {
  return isSDError(error) ? `${error.message} (${error.code})` : String(error);
}

async function draw() {
  if (run) return;
  const controller = new AbortController();
  run = controller;
  drawButton.disabled = true;
  cancelButton.disabled = false;
  stage.begin();
  try {
    // A load that failed is tried again.
    if (!loading) load();
    const sd = await abortable(loading, controller.signal);
    const options = { ...readForm(form), ...start.options(form) };
    const items = sd.stream({
      ...options,
      signal: controller.signal,
      onProgress: (progress) => stage.progress(progress),
    });
    for await (const item of items) {
      if (item.type === 'step') stage.step(item);
      else {
        stage.finish(item.result, options);
        if (!form.elements.keepSeed.checked) form.elements.seed.value = '';
      }
    }
  } catch (error) {
    if (error.code === 'ABORTED') stage.cancelled();
    else stage.fail(explain(error));
  } finally {
    run = undefined;
    drawButton.disabled = false;
    // A keyboard user who pressed Cancel must not lose their place.
    if (document.activeElement === cancelButton) drawButton.focus();
    cancelButton.disabled = true;
  }
}

/** Waits for `promise`, but no longer than the signal lets it. */
function abortable(promise, signal) {
  return new Promise((done, fail) => {
    signal.addEventListener('abort', () => fail({ code: 'ABORTED' }));
    promise.then(done, fail);
  });
}

form.addEventListener('submit', (event) => {
  event.preventDefault();
  draw();
});
cancelButton.addEventListener('click', () => run?.abort());
document.addEventListener('keydown', (event) => {
  if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  if (event.key === 'Escape') run?.abort();
});

form.elements.backend.addEventListener('change', load);
form.elements.folder.addEventListener('change', ({ target }) => {
  if (target.files.length === 0) return;
  source = [...target.files];
  load();
});

stage.addEventListener('reuse', ({ detail }) => start.set(detail));
stage.addEventListener('recall', ({ detail }) => writeForm(form, detail));

bindForm(form);
load();
