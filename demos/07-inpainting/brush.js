/** A mask that is painted on a canvas: by finger, pen and mouse, or by the keyboard. */
export class Brush {
  /** Opaque where painted. */
  #paint = new OffscreenCanvas(512, 512);
  #ink = this.#paint.getContext('2d');
  #canvas;
  #last;
  #cursor = { x: 256, y: 256, shown: false };
  /** Across, where the picture is 128 wide. */
  size = 26;
  erases = false;

  /** @param canvas shows the mask; it must be focusable */
  constructor(canvas) {
    this.#canvas = canvas;
    canvas.addEventListener('pointerdown', (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.#last = this.#place(event);
      this.#stroke(this.#last);
    });
    canvas.addEventListener('pointermove', (event) => {
      if (!this.#last) return;
      // What came between two frames too, so that a quick stroke is no polygon.
      const all = event.getCoalescedEvents?.() ?? [];
      for (const one of all.length > 0 ? all : [event]) this.#stroke(this.#place(one));
    });
    for (const type of ['pointerup', 'pointercancel'])
      canvas.addEventListener(type, () => (this.#last = undefined));
    canvas.addEventListener('keydown', (event) => this.#key(event));
    for (const type of ['focus', 'blur'])
      canvas.addEventListener(type, () => {
        this.#cursor.shown = type === 'focus' && canvas.matches(':focus-visible');
        this.#draw();
      });
    this.#draw();
  }

  get isEmpty() {
    return !this.#ink.getImageData(0, 0, 512, 512).data.some((value) => value > 0);
  }

  clear() {
    this.#ink.clearRect(0, 0, 512, 512);
    this.#draw();
  }

  invert() {
    this.#ink.globalCompositeOperation = 'xor';
    this.#ink.fillRect(0, 0, 512, 512);
    this.#draw();
  }

  /** White where it is painted, black elsewhere, as `mask` of the SDK wants it. */
  toMask(width, height) {
    const canvas = new OffscreenCanvas(width, height);
    const context = canvas.getContext('2d');
    context.drawImage(this.#paint, 0, 0, width, height);
    context.globalCompositeOperation = 'source-in';
    context.fillStyle = 'white';
    context.fillRect(0, 0, width, height);
    context.globalCompositeOperation = 'destination-over';
    context.fillStyle = 'black';
    context.fillRect(0, 0, width, height);
    return canvas;
  }

  #place({ clientX, clientY }) {
    const { left, top, width, height } = this.#canvas.getBoundingClientRect();
    return { x: ((clientX - left) / width) * 512, y: ((clientY - top) / height) * 512 };
  }

  #stroke(to, from = this.#last ?? to) {
    const ink = this.#ink;
    ink.globalCompositeOperation = this.erases ? 'destination-out' : 'source-over';
    ink.lineCap = ink.lineJoin = 'round';
    ink.lineWidth = this.size * 4;
    ink.beginPath();
    ink.moveTo(from.x, from.y);
    ink.lineTo(to.x, to.y);
    ink.stroke();
    // A line without length is none.
    ink.beginPath();
    ink.arc(to.x, to.y, this.size * 2, 0, 7);
    ink.fill();
    if (this.#last) this.#last = to;
    this.#draw();
  }

  #key(event) {
    const step = event.shiftKey ? 64 : 16;
    const moves = {
      ArrowLeft: [-step, 0],
      ArrowRight: [step, 0],
      ArrowUp: [0, -step],
      ArrowDown: [0, step],
    };
    const cursor = this.#cursor;
    if (moves[event.key]) {
      const limit = (value) => Math.min(512, Math.max(0, value));
      cursor.x = limit(cursor.x + moves[event.key][0]);
      cursor.y = limit(cursor.y + moves[event.key][1]);
    } else if (event.key === ' ') this.#stroke({ ...cursor });
    else if (event.key === '+' || event.key === '-') {
      this.size = Math.min(64, Math.max(4, this.size + (event.key === '+' ? 4 : -4)));
      this.#canvas.dispatchEvent(new Event('resize-brush'));
    } else return;
    cursor.shown = true;
    event.preventDefault();
    this.#draw();
  }

  #draw() {
    const context = this.#canvas.getContext('2d');
    context.globalCompositeOperation = 'source-over';
    context.clearRect(0, 0, 512, 512);
    context.drawImage(this.#paint, 0, 0);
    context.globalCompositeOperation = 'source-in';
    context.fillStyle = 'rgb(255 255 255 / 0.72)';
    context.fillRect(0, 0, 512, 512);
    if (!this.#cursor.shown) return;
    context.globalCompositeOperation = 'source-over';
    for (const [colour, width] of [
      ['black', 7],
      ['white', 3],
    ]) {
      context.strokeStyle = colour;
      context.lineWidth = width;
      context.beginPath();
      context.arc(this.#cursor.x, this.#cursor.y, this.size * 2, 0, 7);
      context.stroke();
    }
  }
}
