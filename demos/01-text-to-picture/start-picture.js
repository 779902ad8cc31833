/** The picture to start from: chosen, dropped, pasted, or one that was drawn here. */
export class StartPicture {
  #picture;
  #onChange;
  #preview = document.querySelector('#start-preview');
  #note = document.querySelector('#start-note');
  #remove = document.querySelector('#remove');

  /** @param onChange told whether there is a picture now */
  constructor(onChange) {
    this.#onChange = onChange;
    const drop = document.querySelector('#drop');
    const input = drop.querySelector('input');
    input.addEventListener('change', () => {
      if (input.files[0]) this.set(input.files[0]);
      input.value = '';
    });
    this.#remove.addEventListener('click', () => {
      this.set(undefined);
      input.focus();
    });
    // Anywhere on the page: a file that misses its box would otherwise replace the page.
    document.addEventListener('dragover', (event) => {
      event.preventDefault();
      drop.classList.add('over');
    });
    document.addEventListener('dragleave', () => drop.classList.remove('over'));
    document.addEventListener('drop', (event) => {
      event.preventDefault();
      drop.classList.remove('over');
      if (event.dataTransfer.files[0]) this.set(event.dataTransfer.files[0]);
    });
    document.addEventListener('paste', (event) => {
      if (event.clipboardData.files[0]) this.set(event.clipboardData.files[0]);
    });
  }

  /** @param picture a Blob, a picture of the SDK, or undefined for none */
  async set(picture) {
    const found = picture && (await bitmapOf(picture));
    if (picture && !found) {
      this.#note.textContent = 'That file is not a picture that can be read here.';
      return;
    }
    this.#picture = picture;
    this.#preview.hidden = this.#remove.hidden = !found;
    this.#note.textContent = found ? `${found.width} × ${found.height}` : 'or drop one here';
    if (found) {
      const scale = Math.min(1, 168 / Math.max(found.width, found.height));
      this.#preview.width = Math.max(1, found.width * scale);
      this.#preview.height = Math.max(1, found.height * scale);
      const { width, height } = this.#preview;
      this.#preview.getContext('2d').drawImage(found, 0, 0, width, height);
      this.#preview.setAttribute('aria-label', 'The picture to start from');
    }
    this.#onChange(Boolean(found));
  }

  /** What it adds to the options of `generate`. */
  options(form) {
    if (!this.#picture) return {};
    return { image: this.#picture, strength: Number(form.elements.strength.value) };
  }
}

async function bitmapOf(picture) {
  try {
    return await (picture instanceof Blob ? createImageBitmap(picture) : picture.toImageBitmap());
  } catch {
    return undefined;
  }
}
