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
  readonly #image = make('img', { part: 'image' });
  readonly #figure = make(
    'figure',
    { part: 'figure', 'aria-busy': 'false' },
    ...[this.#poster, this.#canvas, this.#image],
  );
  readonly #bar = make('progress', { part: 'progress', max: '1', 'aria-label': 'Progress' });
  readonly #status = make('p', { part: 'status' });
  /** What a screen reader hears: phases and quarters, not every step. */
  readonly #aloud = make('p', { part: 'aloud', role: 'status', 'aria-live': 'polite' });
  readonly #error = make('p', { part: 'error', role: 'alert' });
  #result: GenerateResult | undefined;
  #phase = '';
  #quarter = 0;

  constructor(root: ShadowRoot) {
    const label = make('label', { part: 'prompt-label' }, slot('label', 'Prompt'), this.prompt);
    const controls = make('div', { part: 'controls' }, this.draw, this.cancel);
    root.replaceChildren(
      make(
        'div',
        { part: 'base' },
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

  /** @param file the picture as PNG */
  async finish(result: GenerateResult, file: Blob, alt: string): Promise<void> {
    this.#result = result;
    const seconds = (result.timings.total / 1000).toFixed(1);
    this.say([`Done in ${seconds} s, seed ${result.seed}.`, ...result.notices].join(' '), true);
    result.image.toCanvas(this.#canvas);
    this.describe(alt);
    this.#show('canvas');
    // An <img> can be saved and dragged as a file. A page whose policy allows no `blob:` pictures
    // keeps the canvas, which shows the same.
    const url = URL.createObjectURL(file);
    this.#image.src = url;
    const decoded = await this.#image.decode().then(
      () => true,
      () => false,
    );
    URL.revokeObjectURL(url);
    if (decoded && this.#result === result) this.#show('image');
  }

  describe(alt: string): void {
    this.#image.alt = alt;
    this.#canvas.setAttribute('aria-label', alt);
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

  clear(): void {
    this.#result = undefined;
    this.#error.textContent = '';
    this.say('');
    this.#back();
  }

  say(text: string, aloud = false): void {
    if (this.#status.textContent !== text) this.#status.textContent = text;
    if (aloud) this.#aloud.textContent = text;
  }

  /** To the last finished picture. */
  #back(): void {
    this.#result?.image.toCanvas(this.#canvas);
    this.#canvas.setAttribute('aria-label', this.#image.alt);
    this.#show(this.#result ? 'canvas' : 'poster');
  }

  #show(which: 'poster' | 'canvas' | 'image'): void {
    this.#poster.hidden = which !== 'poster';
    this.#canvas.hidden = which !== 'canvas';
    this.#image.hidden = which !== 'image';
  }

  #holds(button: HTMLElement): boolean {
    return (button.getRootNode() as ShadowRoot).activeElement === button;
  }
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
