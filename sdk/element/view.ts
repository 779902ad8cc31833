import type { GenerateResult, PixelImage, Progress } from '../index.ts';

type Attributes = Readonly<Record<string, string>>;

function make<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes,
  ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

const slot = (name: string, ...content: string[]) => make('slot', { name }, ...content);

/** What a person sees of the element: its shadow tree, and what a run shows in it. */
export class View {
  readonly prompt = make('textarea', { part: 'prompt', rows: '3', maxlength: '2000' });
  readonly draw = make(
    'button',
    { part: 'button draw-button', type: 'button' },
    slot('draw', 'Draw'),
  );
  readonly cancel = make(
    'button',
    { part: 'button cancel-button', type: 'button' },
    slot('cancel', 'Cancel'),
  );
  readonly #poster = slot('poster');
  readonly #canvas = make('canvas', { part: 'canvas', role: 'img' });
  readonly #pictures = make('div', { part: 'pictures' });
  readonly #figure = make(
    'figure',
    { part: 'figure', 'aria-busy': 'false' },
    ...[this.#poster, this.#canvas, this.#pictures],
  );
  readonly #bar = make('progress', { part: 'progress', max: '1', 'aria-label': 'Progress' });
  readonly #status = make('p', { part: 'status' });
  /** What a screen reader hears: phases and quarters, not every step. */
  readonly #aloud = make('p', { part: 'aloud', role: 'status', 'aria-live': 'polite' });
  readonly #error = make('p', { part: 'error', role: 'alert' });
  #result: GenerateResult | undefined;
  /** What the pictures show: their addresses hold it in memory until they are given up. */
  #files = new Map<HTMLImageElement, Blob>();
  #held = true;
  #phase = '';
  #quarter = 0;

  constructor(root: ShadowRoot) {
    const label = make('label', { part: 'prompt-label' }, slot('label', 'Prompt'), this.prompt);
    const controls = make('div', { part: 'controls' }, this.draw, this.cancel);
    root.replaceChildren(
      make(
        'div',
        // A click beside the controls would otherwise put the keyboard into the prompt, and on a phone
        // bring up the one on the screen.
        { part: 'base', tabindex: '-1' },
        ...[this.#figure, label, controls, this.#bar, this.#status, this.#error, this.#aloud],
        make('slot', {}),
      ),
    );
    this.#show('poster');
    this.rest();
  }

  /** Where a keyboard that was on a button goes on, since one of the two is always hidden. */
  begin(): void {
    const held = this.#holds(this.draw);
    this.#figure.setAttribute('aria-busy', 'true');
    this.#error.textContent = '';
    this.#bar.removeAttribute('value');
    this.#bar.hidden = this.cancel.hidden = false;
    this.draw.hidden = true;
    if (held) this.cancel.focus();
    this.#phase = '';
    this.say('Getting ready …', true);
  }

  rest(): void {
    const held = this.#holds(this.cancel);
    this.#figure.setAttribute('aria-busy', 'false');
    this.#bar.hidden = this.cancel.hidden = true;
    this.draw.hidden = false;
    if (held) this.draw.focus();
  }

  progress(progress: Progress): void {
    const { phase, done, total } = progress;
    const text = sentence(progress);
    if (total) {
      this.#bar.value = done / total;
      this.#bar.setAttribute('aria-valuetext', text);
    } else this.#bar.removeAttribute('value');
    const quarter = total ? Math.floor((4 * done) / total) : 0;
    this.say(text, phase !== this.#phase || quarter !== this.#quarter);
    this.#phase = phase;
    this.#quarter = quarter;
  }

  /** The picture of a step. */
  preview(picture: PixelImage, alt: string): void {
    picture.toCanvas(this.#canvas);
    this.#canvas.setAttribute('aria-label', alt);
    this.#show('canvas');
  }

  /** @param files the pictures as PNG */
  async finish(result: GenerateResult, files: readonly Blob[], alt: string): Promise<void> {
    this.#result = result;
    const seconds = (result.timings.total / 1000).toFixed(1);
    this.say([`Done in ${seconds} s, seed ${result.seed}.`, ...result.notices].join(' '), true);
    this.preview(result.image, alt);
    const pictures = await Promise.all(files.map((file, i) => show(file, result.images[i])));
    const made = new Map<HTMLImageElement, Blob>();
    for (const [i, picture] of pictures.entries())
      if (picture.localName === 'img') made.set(picture as HTMLImageElement, files[i]);
    if (this.#result !== result) return revoke(made.keys());
    revoke(this.#files.keys());
    this.#files = made;
    this.#pictures.replaceChildren(...pictures);
    this.describe(alt);
    this.#show('pictures');
  }

  describe(alt: string): void {
    this.#canvas.setAttribute('aria-label', alt);
    const pictures = [...this.#pictures.children];
    for (const [i, picture] of pictures.entries()) {
      const text = pictures.length > 1 ? `${alt} (${i + 1} of ${pictures.length})` : alt;
      picture.setAttribute(picture.localName === 'img' ? 'alt' : 'aria-label', text);
    }
  }

  cancelled(): void {
    this.say('Cancelled.', true);
    this.#back();
  }

  fail(message: string): void {
    this.say('');
    this.#error.textContent = message;
    this.#back();
  }

  /** While the element is in no page its pictures need not be saved by anybody … */
  release(): void {
    revoke(this.#files.keys());
    this.#held = false;
  }

  /** … and when it comes back they may be. */
  hold(): void {
    if (!this.#held) for (const [image, file] of this.#files) image.src = URL.createObjectURL(file);
    this.#held = true;
  }

  clear(): void {
    revoke(this.#files.keys());
    this.#files.clear();
    this.#result = undefined;
    this.#pictures.replaceChildren();
    this.#error.textContent = '';
    this.say('');
    this.#back();
  }

  say(text: string, aloud = false): void {
    if (this.#status.textContent !== text) this.#status.textContent = text;
    if (aloud) this.#aloud.textContent = text;
  }

  /** To what was finished last. */
  #back(): void {
    this.#show(this.#pictures.firstChild ? 'pictures' : 'poster');
  }

  #show(which: 'poster' | 'canvas' | 'pictures'): void {
    this.#poster.hidden = which !== 'poster';
    this.#canvas.hidden = which !== 'canvas';
    this.#pictures.hidden = which !== 'pictures';
  }

  #holds(button: HTMLElement): boolean {
    return (button.getRootNode() as ShadowRoot).activeElement === button;
  }
}

/**
 * The picture as an element. An `<img>` can be saved and dragged as a file; a page whose policy allows no
 * `blob:` pictures gets a canvas, which shows the same.
 */
async function show(file: Blob, picture: PixelImage): Promise<HTMLElement> {
  const image = make('img', { part: 'image', decoding: 'sync' });
  // Not `decode()`: in a tab that nobody looks at it may wait until somebody does.
  const loaded = new Promise((done, fail) => {
    image.onload = done;
    image.onerror = fail;
  });
  image.src = URL.createObjectURL(file);
  try {
    await loaded;
    return image;
  } catch {
    URL.revokeObjectURL(image.src);
    const canvas = make('canvas', { part: 'image', role: 'img' });
    return picture.toCanvas(canvas);
  }
}

function revoke(images: Iterable<HTMLImageElement>): void {
  for (const { src } of images) URL.revokeObjectURL(src);
}

function sentence(progress: Progress): string {
  const { phase, done, total } = progress;
  switch (phase) {
    case 'download':
    case 'verify':
    case 'load': {
      const verb = { download: 'Downloading', verify: 'Checking', load: 'Loading' }[phase];
      const of = total ? ` of ${mebibytes(total)}` : '';
      return `${verb} the model: ${mebibytes(done)}${of} MiB`;
    }
    case 'compile':
      return 'Preparing the model …';
    case 'encode':
      return 'Reading the prompt …';
    case 'denoise': {
      const { secondsLeft } = progress;
      const left = secondsLeft === undefined ? '' : `, ${Math.ceil(secondsLeft)} s left`;
      return `Step ${done} of ${total}${left}`;
    }
    case 'decode':
      return 'Making pixels …';
    default:
      return phase satisfies never;
  }
}

const mebibytes = (bytes: number) => (bytes / 2 ** 20).toFixed(1);
