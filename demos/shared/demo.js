// What the demos share, so that each can be read as an example of the SDK and of one idea.
import { isSDError, StableDiffusion } from '/dist/index.js';

const query = new URLSearchParams(location.search);
/** The small model that comes with the demos; `?model=` names another one. */
const MODEL = query.get('model') ?? '/demos/landscapes/model/';

const find = (selector) => document.querySelector(selector);

/** Loads the model and says in `#engine` how far it is. */
export async function loadModel(source = MODEL, options = {}) {
  const engine = find('#engine');
  const mib = (bytes) => (bytes / 2 ** 20).toFixed(1);
  engine.textContent = 'Loading the model …';
  try {
    const sd = await StableDiffusion.load(source, {
      // The server is this device: a second copy would only grow stale.
      keep: query.has('model'),
      onProgress: ({ phase, done, total }) => {
        if (!['download', 'verify', 'load'].includes(phase)) return;
        engine.textContent = `Loading the model: ${mib(done)}${total ? ` of ${mib(total)}` : ''} MiB`;
      },
      ...options,
    });
    engine.textContent = [sd.info.device, ...sd.info.notices].join('. ');
    return sd;
  } catch (error) {
    engine.textContent = 'No model is loaded.';
    throw error;
  }
}

let opening;
/** The demos' own model, loaded once; after a failure the next call tries again. */
export function openModel() {
  opening ??= loadModel().catch((error) => {
    opening = undefined;
    throw error;
  });
  return opening;
}

/**
 * Makes the page's form draw. Its Draw button runs `work`, Cancel and Escape stop it; drawing again
 * stops what was before. The page's URL may set fields by name, and `?draw` begins by itself.
 * @param {(tools: {
 *   sd: StableDiffusion,
 *   settings: Record<string, any>, the form's fields; numbers where they are numbers
 *   signal: AbortSignal,
 *   progress: (picture: number, of: number) => (progress: object) => void, for `onProgress`
 *   noted: (result: GenerateResult) => GenerateResult, the same; its notices are said at the end
 * }) => Promise<string | { instead: string } | void>} work what it returns is said when it is done, or
 *   instead of that
 * @param {() => Promise<StableDiffusion>} open default: the demos' own model
 * @returns {() => Promise<void>} draws as the button does
 */
export function onDraw(work, open = openModel) {
  const form = find('#form');
  const [draw, cancel] = [find('#draw'), find('#cancel')];
  const [bar, status, live, failed] = ['#progress', '#status', '#live', '#error'].map(find);
  let run;

  const say = (text, aloud = true) => {
    status.textContent = text;
    // A screen reader hears beginnings and ends, not every step.
    if (aloud) live.textContent = text;
  };
  const fail = (error) => {
    say('');
    failed.textContent = explain(error);
    failed.hidden = false;
  };
  const progress =
    (picture, of) =>
    ({ phase, done, total }) => {
      if (phase !== 'denoise') return;
      bar.value = (picture + done / total) / of;
      const which = of > 1 ? `Picture ${picture + 1} of ${of}, step` : 'Step';
      say(`${which} ${done} of ${total}`, false);
      bar.setAttribute('aria-valuetext', status.textContent);
    };

  async function start() {
    run?.abort();
    const controller = (run = new AbortController());
    const { signal } = controller;
    failed.hidden = true;
    bar.hidden = cancel.disabled = false;
    bar.removeAttribute('value');
    say('Drawing …');
    const began = performance.now();
    // Pictures of one run share most of what there is to say.
    const notices = new Set();
    const noted = (result) => {
      for (const notice of result.notices) notices.add(notice);
      return result;
    };
    try {
      const sd = await abortable(open(), signal);
      const said = await work({ sd, settings: read(form), signal, progress, noted });
      if (run !== controller) return;
      const done = `Done in ${seconds(performance.now() - began)}.`;
      say(said?.instead ?? [done, said, ...notices].filter(Boolean).join(' '));
    } catch (error) {
      // A newer run has taken over the page.
      if (run !== controller) return;
      if (error.code === 'ABORTED') say('Cancelled.');
      else fail(error);
    }
    run = undefined;
    bar.hidden = true;
    // A keyboard user who pressed Cancel must not lose their place.
    if (document.activeElement === cancel) draw.focus();
    cancel.disabled = true;
  }

  for (const [name, value] of query) {
    const field = form.elements.namedItem(name);
    if (field && 'value' in field && field.type !== 'file') field.value = value;
  }
  const showValues = () => {
    for (const output of form.querySelectorAll('output')) {
      const field = form.elements.namedItem(output.htmlFor.value);
      output.textContent = field.value;
    }
  };
  form.addEventListener('input', showValues);
  showValues();
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    start();
  });
  form.querySelector('#dice')?.addEventListener('click', () => {
    form.elements.seed.value = crypto.getRandomValues(new Uint16Array(1))[0];
    start();
  });
  cancel.addEventListener('click', () => run?.abort());
  document.addEventListener('keydown', (event) => {
    if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) form.requestSubmit();
    if (event.key === 'Escape') run?.abort();
  });
  open().then(() => query.has('draw') && start(), fail);
  return start;
}

/** The sentence that a person can do something with, and the code that a search finds. */
export function explain(error) {
  return isSDError(error) ? `${error.message} (${error.code})` : String(error);
}

// The space before a unit is one at which no line ends.
export const seconds = (milliseconds) => `${(milliseconds / 1000).toFixed(1)}\u00a0s`;
export const percent = (share, digits = 1) => `${(100 * share).toFixed(digits)}\u00a0%`;

/** Empty frames for pictures in `container`, one for each caption; returns their canvases. */
export function frames(container, captions) {
  const made = captions.map((caption) => {
    const figure = document.createElement('figure');
    const canvas = document.createElement('canvas');
    canvas.setAttribute('role', 'img');
    canvas.setAttribute('aria-label', `${caption}: not drawn yet`);
    const words = document.createElement('figcaption');
    words.textContent = caption;
    figure.append(canvas, words);
    return figure;
  });
  find(container).replaceChildren(...made);
  return made.map((figure) => figure.firstChild);
}

/**
 * Puts a picture on a canvas of {@link frames}.
 * @param image a picture of the SDK, or ImageData
 * @param caption replaces the frame's own
 */
export function show(canvas, image, caption) {
  const words = canvas.nextElementSibling;
  if (caption !== undefined && words) words.textContent = caption;
  if (image instanceof ImageData) {
    canvas.width = image.width;
    canvas.height = image.height;
    canvas.getContext('2d').putImageData(image, 0, 0);
  } else image.toCanvas(canvas);
  canvas.setAttribute('aria-label', caption ?? words?.textContent ?? 'Picture');
  canvas.classList.add('drawn');
}

/** Numbers as colours, from dark at 0 over red to light yellow at `most`. */
export function heat(values, width, height, most = Math.max(...values)) {
  const image = new ImageData(width, height);
  values.forEach((value, i) => {
    const x = most > 0 ? Math.min(1, value / most) : 0;
    image.data.set(
      [90 * x + 165 * x ** 0.6, 225 * x ** 1.6, 45 + 60 * x - 45 * x ** 3 + 90 * x ** 6, 255],
      4 * i,
    );
  });
  return image;
}

/** How far two pictures of one size are apart: the mean difference of a channel, 0 … 1. */
export function distance({ data: a }, { data: b }) {
  let sum = 0;
  for (let i = 0; i < a.length; i++) if (i % 4 < 3) sum += Math.abs(a[i] - b[i]);
  return sum / (a.length * 0.75) / 255;
}

function read(form) {
  const settings = {};
  for (const { name, type, value, checked } of form.elements) {
    if (!name) continue;
    if (type === 'checkbox') settings[name] = checked;
    else if (type === 'number' || type === 'range')
      settings[name] = value === '' ? undefined : Number(value);
    else settings[name] = value;
  }
  return settings;
}

/** Waits for `promise`, but no longer than the signal lets it. */
function abortable(promise, signal) {
  return new Promise((done, fail) => {
    signal.addEventListener('abort', () => fail({ code: 'ABORTED' }));
    promise.then(done, fail);
  });
}
