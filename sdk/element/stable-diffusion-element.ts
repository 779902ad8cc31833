import {
  SDError,
  StableDiffusion,
  isSDError,
  type BackendChoice,
  type Dtype,
  type GeneratedImage,
  type GenerateOptions,
  type GenerateResult,
  type LoadOptions,
  type PreviewKind,
  type Progress,
  type PromptSyntax,
  type RandomKind,
} from '../index.ts';
import { validateOptions } from '../options.ts';
import { attributeOf, GENERATE, LOAD, readAttributes } from './attributes.ts';
import { FormField } from './form-field.ts';
import { claimProperties, mirrorAttributes } from './properties.ts';
import { adoptStyles } from './styles.ts';
import type { ElementModel, StableDiffusionEvents } from './types.ts';
import { View } from './view.ts';

const pngFile = async (image: GeneratedImage) =>
  new File([await image.toBlob()], `${image.seed}.png`, { type: 'image/png' });

/**
 * `<stable-diffusion src="https://example.org/my-model/" prompt="a lake at dawn">`: a field for the
 * prompt, a button, and the picture. Nothing is downloaded before the button is pressed, unless
 * `autorun` is set and the person has not asked the browser to save data.
 *
 * Attributes: `src` (the model), the options of {@link GenerateOptions} that are one text, number or
 * yes/no, in kebab case, `backend`, `dtype`, `variant`, `threads`, `keep`, `memory`, `alt` (default: the
 * prompt), and `autorun`, `disabled`, `readonly`, `required`, `name` as of a form's fields. In a form its
 * value is the picture, as a PNG file; with `count` it sends several, as a field for files does.
 *
 * Events: {@link StableDiffusionEvents}. They are composed, but do not bubble: an `error` that did
 * would reach `window.onerror`.
 *
 * Slots: `poster`, `label`, `draw`, `cancel`, and the default one below everything. Parts: `base`,
 * `figure`, `canvas`, `pictures`, `image`, `prompt-label`, `prompt`, `controls`, `button`, `draw-button`,
 * `cancel-button`, `progress`, `status`, `error`. Custom properties: `--sd-width`, `--sd-radius`,
 * `--sd-accent`.
 */
export class StableDiffusionElement extends FormField {
  static readonly observedAttributes: readonly string[] = [
    ...['prompt', 'alt', 'src', 'name', 'disabled', 'readonly', 'required'],
    ...Object.keys(LOAD).map(attributeOf),
  ];

  declare src: string | undefined;
  declare alt: string | undefined;
  declare name: string | undefined;
  declare prompt: string | undefined;
  declare negativePrompt: string | undefined;
  declare steps: number | undefined;
  declare guidanceScale: number | undefined;
  declare guidanceRescale: number | undefined;
  declare guidanceStart: number | undefined;
  declare guidanceEnd: number | undefined;
  declare seed: number | undefined;
  declare subseed: number | undefined;
  declare subseedStrength: number | undefined;
  declare width: number | undefined;
  declare height: number | undefined;
  declare strength: number | undefined;
  declare sampler: string | undefined;
  declare eta: number | undefined;
  declare clipSkip: number | undefined;
  declare count: number | undefined;
  declare rng: RandomKind | undefined;
  declare preview: PreviewKind | undefined;
  declare syntax: PromptSyntax | undefined;
  declare seamless: boolean | 'x' | 'y' | undefined;
  declare backend: BackendChoice | undefined;
  declare dtype: Dtype | undefined;
  declare variant: string | undefined;
  declare threads: number | undefined;
  declare keep: boolean | undefined;
  declare memory: LoadOptions['memory'];
  /** Draws as soon as it is in the page. Off by default. */
  declare autorun: boolean;
  declare disabled: boolean;
  /** The prompt can be read but not changed. */
  declare readonly: boolean;
  /** The form it is in cannot be sent before there is a picture. */
  declare required: boolean;

  /** Options that no attribute can say, such as `image` and `mask`; they win over attributes. */
  options: Partial<GenerateOptions> = {};
  /** The same for loading, such as `worker`. Read when the model is loaded. */
  loadOptions: LoadOptions = {};

  readonly #root = this.attachShadow({ mode: 'open', delegatesFocus: true });
  readonly #view = new View(this.#root);
  #model: ElementModel | undefined;
  #loading: Promise<StableDiffusion> | undefined;
  /** Stops the load, as long as it lasts. */
  #stopLoading: AbortController | undefined;
  #run: AbortController | undefined;
  #result: GenerateResult | undefined;
  #files: readonly File[] = [];
  /** What a reset of the form goes back to. */
  #firstPrompt: string | undefined;
  #formDisabled = false;

  constructor() {
    super();
    const { draw, cancel, prompt } = this.#view;
    adoptStyles(this.#root);
    // A failure is shown and told of as an event; here is nobody to throw it to.
    const start = () => void this.generate().catch(() => {});
    draw.addEventListener('click', start);
    cancel.addEventListener('click', () => this.abort());
    prompt.addEventListener('input', () => (this.prompt = prompt.value));
    // A click on its `<label>` arrives at the element itself.
    this.addEventListener('click', (event) => {
      if (event.composedPath()[0] === this) this.focus();
    });
    this.#root.addEventListener('keydown', (event) => {
      const { key, ctrlKey, metaKey } = event as KeyboardEvent;
      if (key === 'Enter' && (ctrlKey || metaKey) && !this.#isDisabled) start();
      if (key === 'Escape') this.abort();
    });
  }

  /**
   * Where the model comes from, files of the person's own included; by default `src`. A function is
   * called when the model is first needed, which is within a click, and may take its time.
   */
  get model(): ElementModel | undefined {
    return this.#model ?? this.src;
  }

  set model(source: ElementModel | undefined) {
    if (source === this.#model) return;
    this.#model = source;
    this.#unload();
  }

  /** What the last run made. */
  get result(): GenerateResult | undefined {
    return this.#result;
  }

  /** The first picture as a PNG file, null before there is one. The form sends all of them. */
  get value(): File | null {
    return this.#files[0] ?? null;
  }

  /** The prompt takes it. */
  override focus(options?: FocusOptions): void {
    this.#view.prompt.focus(options);
  }

  /**
   * Loads the model, once; `generate` does so by itself.
   * @throws SDError as {@link StableDiffusion.load}
   */
  load(): Promise<StableDiffusion> {
    return (this.#loading ??= this.#open());
  }

  /**
   * Draws. A run that is under way is stopped first.
   * @param overrides options for this run, over those of the attributes and of `options`
   * @throws SDError as {@link StableDiffusion.load} and {@link StableDiffusion.generate}; the `error`
   *   event tells of it too, and `abort` of ABORTED
   */
  async generate(overrides: Partial<GenerateOptions> = {}): Promise<GenerateResult> {
    this.#run?.abort();
    const run = new AbortController();
    this.#run = run;
    const mine = () => this.#run === run;
    this.#view.begin();
    try {
      const options = this.#collect(overrides, run.signal);
      // A bad option is refused before a model is downloaded for it.
      validateOptions(options);
      const sd = await this.load();
      const result = await sd.generate(options);
      const files = await Promise.all(result.images.map(pngFile));
      if (!mine()) throw new SDError('ABORTED', 'A newer run took the place of this one.');
      this.#result = result;
      this.#files = files;
      this.#publish();
      await this.#view.finish(result, files, this.alt ?? String(options.prompt));
      this.#tell('image', result);
      return result;
    } catch (cause) {
      const error = isSDError(cause)
        ? cause
        : new SDError('INTERNAL', 'The picture could not be drawn.', { cause });
      const aborted = error.code === 'ABORTED';
      if (mine() && aborted) this.#view.cancelled();
      else if (mine()) this.#view.fail(`${error.message} (${error.code})`);
      // Of a run whose place another has taken nobody need hear.
      if (mine() || !aborted) this.#tell(aborted ? 'abort' : 'error', error);
      throw error;
    } finally {
      if (mine()) {
        this.#run = undefined;
        this.#view.rest();
      }
    }
  }

  /** Stops what is under way, a download too; what is stored of it stays for the next time. */
  abort(): void {
    this.#run?.abort();
    // Whoever draws next must not wait for a load that is being stopped.
    if (this.#stopLoading) this.#unload();
  }

  /** @internal */
  connectedCallback(): void {
    claimProperties(this);
    this.#firstPrompt ??= this.prompt ?? '';
    this.#view.hold();
    this.#validate();
    const connection = (navigator as { connection?: { saveData?: boolean } }).connection;
    const thrifty = connection?.saveData === true && this.#loading === undefined;
    if (thrifty) this.#view.say('The first picture downloads the model.');
    if (this.autorun && !thrifty && !this.#result && !this.#run)
      void this.generate().catch(() => {});
  }

  /** @internal */
  disconnectedCallback(): void {
    // An element that is only moved is connected again by then.
    queueMicrotask(() => {
      if (this.isConnected) return;
      this.abort();
      this.#unload();
      this.#view.release();
    });
  }

  /** Without this `moveBefore()` would count as leaving the page. */
  connectedMoveCallback(): void {}

  /** @internal */
  adoptedCallback(): void {
    adoptStyles(this.#root);
  }

  /** @internal */
  attributeChangedCallback(name: string, before: string | null, now: string | null): void {
    if (before === now) return;
    const { prompt } = this.#view;
    if (name === 'prompt' && prompt.value !== (now ?? '')) prompt.value = now ?? '';
    if (name === 'prompt' || name === 'name') this.#publish();
    else if (name === 'alt') this.#view.describe(now ?? this.prompt ?? '');
    else if (name === 'readonly') prompt.readOnly = now !== null;
    else if (name === 'disabled') this.#disable();
    else if (name === 'required') this.#validate();
    else if (name === 'src' || name in LOAD) this.#unload();
  }

  /** @internal */
  formDisabledCallback(disabled: boolean): void {
    this.#formDisabled = disabled;
    this.#disable();
  }

  /** @internal */
  formResetCallback(): void {
    this.abort();
    this.prompt = this.#firstPrompt;
    this.#result = undefined;
    this.#view.clear();
    this.#files = [];
    this.#publish();
  }

  /** Going back in the history brings the prompt back; the picture would have to be drawn again. */
  formStateRestoreCallback(state: unknown): void {
    if (typeof state === 'string') this.prompt = state;
  }

  get #isDisabled(): boolean {
    return this.#formDisabled || this.disabled;
  }

  async #open(): Promise<StableDiffusion> {
    const stop = new AbortController();
    this.#stopLoading = stop;
    try {
      const { model } = this;
      if (model === undefined || model === '')
        throw new SDError(
          'INVALID_OPTION',
          '<stable-diffusion> needs a model: give the URL of one as `src`, or files as `model`.',
        );
      const source = typeof model === 'function' ? await model(stop.signal) : model;
      const options = { ...readAttributes(this, LOAD), ...this.loadOptions } as LoadOptions;
      const sd = await StableDiffusion.load(source, {
        ...options,
        signal: options.signal ? AbortSignal.any([options.signal, stop.signal]) : stop.signal,
        onProgress: (progress) => {
          options.onProgress?.(progress);
          this.#progress(progress);
        },
      });
      if (stop.signal.aborted) {
        await sd.dispose();
        throw new SDError('ABORTED', 'The load was stopped.');
      }
      this.#tell('load', sd);
      return sd;
    } catch (error) {
      // The next call tries again.
      if (this.#stopLoading === stop) this.#loading = undefined;
      // What `model` was waiting for may fail in its own words when it is stopped.
      if (stop.signal.aborted && !isSDError(error))
        throw new SDError('ABORTED', 'The load was stopped.', { cause: error });
      throw error;
    } finally {
      if (this.#stopLoading === stop) this.#stopLoading = undefined;
    }
  }

  #unload(): void {
    this.#stopLoading?.abort();
    this.#stopLoading = undefined;
    void this.#loading?.then(
      (sd) => sd.dispose(),
      () => {},
    );
    this.#loading = undefined;
  }

  #collect(overrides: Partial<GenerateOptions>, stop: AbortSignal): GenerateOptions {
    const given = { ...readAttributes(this, GENERATE), ...this.options, ...overrides };
    const { signal, onProgress, onStep } = given as Partial<GenerateOptions>;
    // A picture that changes many times a second is motion.
    const still = globalThis.matchMedia?.('(prefers-reduced-motion: reduce)').matches;
    return {
      prompt: '',
      preview: still ? 'none' : 'rgb',
      ...given,
      signal: signal ? AbortSignal.any([signal, stop]) : stop,
      onProgress: (progress) => {
        onProgress?.(progress);
        this.#progress(progress);
      },
      onStep: (step) => {
        onStep?.(step);
        if (step.preview && !stop.aborted)
          this.#view.preview(step.preview, this.alt ?? String(given.prompt ?? ''));
        this.#tell('step', step);
      },
    };
  }

  #progress(progress: Progress): void {
    if (this.#run) this.#view.progress(progress);
    this.#tell('progress', progress);
  }

  /** Gives the form the pictures. */
  #publish(): void {
    const several = new FormData();
    if (this.name) for (const file of this.#files) several.append(this.name, file);
    // A browser stores the second for when the person comes back to the page.
    this.internals.setFormValue(this.#files.length > 1 ? several : this.value, this.prompt ?? '');
    this.#validate();
  }

  #validate(): void {
    const missing = this.required && !this.value;
    const message = missing ? 'Draw a picture first.' : '';
    this.internals.setValidity({ valueMissing: missing }, message, this.#view.draw);
  }

  #disable(): void {
    this.#view.draw.disabled = this.#view.prompt.disabled = this.#isDisabled;
  }

  #tell<K extends keyof StableDiffusionEvents>(type: K, detail: StableDiffusionEvents[K]): void {
    this.dispatchEvent(new CustomEvent(type, { detail, composed: true }));
  }

  static {
    mirrorAttributes(this.prototype);
  }
}
