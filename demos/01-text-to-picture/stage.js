const HISTORY = 12;

/** The picture, what is said about it, and the earlier ones. Fires `reuse` and `recall`. */
export class Stage extends EventTarget {
  #frame = document.querySelector('#frame');
  #canvas = document.querySelector('#canvas');
  #bar = document.querySelector('#progress');
  #status = document.querySelector('#status');
  /** What a screen reader hears: not every step. */
  #live = document.querySelector('#live');
  #error = document.querySelector('#error');
  #download = document.querySelector('#download');
  #reuse = document.querySelector('#reuse');
  #history = document.querySelector('#history');
  #shown;

  constructor() {
    super();
    this.#frame.classList.add('blank', 'untouched');
    this.#reuse.addEventListener('click', () => this.#tell('reuse', this.#shown));
  }

  /** Takes an error away. */
  forgive() {
    this.#error.hidden = true;
  }

  begin() {
    this.forgive();
    this.#frame.classList.remove('untouched');
    // On a phone the button is below the picture.
    this.#frame.scrollIntoView({ block: 'nearest' });
    this.#bar.hidden = false;
    this.#bar.removeAttribute('value');
    this.#say('Getting ready …', true);
  }

  progress({ phase, done, total, secondsLeft }) {
    if (phase === 'encode') this.#say('Reading the prompt …');
    if (phase === 'decode') this.#say('Making pixels …');
    if (phase !== 'denoise') return;
    this.#bar.value = done / total;
    const left = secondsLeft === undefined ? '' : `, ${duration(secondsLeft)} left`;
    this.#bar.setAttribute('aria-valuetext', `Step ${done} of ${total}${left}`);
    const quarter = Math.floor((4 * done) / total);
    this.#say(`Step ${done} of ${total}${left}`, quarter > Math.floor((4 * (done - 1)) / total));
  }

  step({ preview }) {
    if (!preview) return;
    this.#frame.classList.remove('blank');
    this.#frame.classList.add('drawing');
    preview.toCanvas(this.#canvas);
  }

  async finish(result, options) {
    this.#rest();
    const { image, timings, notices } = result;
    const used = { ...options, seed: image.seed };
    const seconds = (timings.total / 1000).toFixed(1);
    this.#say([`Done in ${seconds} s, seed ${image.seed}.`, ...notices].join(' '), true);
    await this.#show(image, used);
    this.#remember(image, used);
  }

  cancelled() {
    this.#rest();
    this.#say('Cancelled.', true);
    if (this.#shown) this.#shown.toCanvas(this.#canvas);
    else this.#frame.classList.add('blank');
  }

  fail(message) {
    this.#rest();
    this.#say('');
    this.#error.textContent = message;
    this.#error.hidden = false;
  }

  #rest() {
    this.#bar.hidden = true;
    this.#frame.classList.remove('drawing');
  }

  async #show(image, options) {
    this.#shown = image;
    this.#frame.classList.remove('blank');
    image.toCanvas(this.#canvas);
    this.#canvas.setAttribute('aria-label', `Picture drawn from: ${options.prompt}`);
    const url = URL.createObjectURL(await image.toBlob());
    URL.revokeObjectURL(this.#download.href);
    this.#download.href = url;
    this.#download.download = `${fileName(options.prompt)}-${image.seed}.png`;
    this.#download.hidden = this.#reuse.hidden = false;
  }

  #remember(image, options) {
    const button = document.createElement('button');
    button.type = 'button';
    button.title = `${options.prompt} · seed ${options.seed}`;
    const canvas = image.toCanvas();
    canvas.setAttribute('role', 'img');
    canvas.setAttribute('aria-label', button.title);
    button.append(canvas);
    button.addEventListener('click', () => {
      this.#show(image, options);
      this.#tell('recall', options);
    });
    const item = document.createElement('li');
    item.append(button);
    this.#history.prepend(item);
    while (this.#history.children.length > HISTORY) this.#history.lastChild.remove();
  }

  #say(text, aloud = false) {
    if (this.#status.textContent !== text) this.#status.textContent = text;
    if (aloud) this.#live.textContent = text;
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

function duration(seconds) {
  if (seconds < 1) return 'less than a second';
  if (seconds < 90) return `${Math.round(seconds)} s`;
  return `${Math.round(seconds / 60)} min`;
}

/** A file name from a prompt: letters, digits and hyphens. */
function fileName(prompt) {
  const words = prompt.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? ['picture'];
  return words.join('-').slice(0, 60);
}
