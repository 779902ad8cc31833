/** Keeps the numbers next to the sliders right, and makes the small buttons work. */
export function bindForm(form) {
  const { steps, guidanceScale, strength, prompt, seed } = form.elements;
  const outputs = [
    [steps, '#steps-out', (value) => value],
    [guidanceScale, '#guidance-out', (value) => (value === '1' ? 'off' : value)],
    [strength, '#strength-out', (value) => `${Math.round(value * 100)} %`],
  ];
  const show = () => {
    for (const [input, output, text] of outputs)
      form.querySelector(output).textContent = text(input.value);
  };
  form.addEventListener('input', show);
  show();
  for (const idea of form.querySelectorAll('.idea'))
    idea.addEventListener('click', () => {
      prompt.value = idea.textContent;
      prompt.focus();
    });
  prompt.value = form.querySelector('.idea').textContent;
  form.querySelector('#dice').addEventListener('click', () => {
    seed.value = crypto.getRandomValues(new Uint32Array(1))[0];
  });
}

/** The options of `generate`, without the picture to start from. */
export function readForm(form) {
  const { prompt, negativePrompt, steps, guidanceScale, size, sampler, seed } = form.elements;
  const [width, height] = size.value.split('×').map(Number);
  return {
    prompt: prompt.value,
    negativePrompt: negativePrompt.value,
    steps: Number(steps.value),
    guidanceScale: Number(guidanceScale.value),
    width,
    height,
    ...(sampler.value && { sampler: sampler.value }),
    ...(seed.value !== '' && { seed: Number(seed.value) }),
  };
}

/** Puts the options of an earlier picture back. */
export function writeForm(form, options) {
  const fields = form.elements;
  fields.prompt.value = options.prompt;
  fields.negativePrompt.value = options.negativePrompt;
  fields.steps.value = options.steps;
  fields.guidanceScale.value = options.guidanceScale;
  fields.sampler.value = options.sampler ?? '';
  fields.seed.value = options.seed;
  const size = `${options.width}×${options.height}`;
  if ([...fields.size.options].some(({ value }) => value === size)) fields.size.value = size;
  form.dispatchEvent(new Event('input'));
}

/** Sizes around the one that the model was trained at. */
export function showSizes(form, { width, height, sizeStep }) {
  const select = form.elements.size;
  const before = select.value;
  const fit = (pixels) => Math.round(pixels / (sizeStep * 2)) * sizeStep * 2;
  const sizes = [
    ['square', width, height],
    ['wide', fit(width * 1.5), height],
    ['tall', width, fit(height * 1.5)],
    ['larger', fit(width * 1.5), fit(height * 1.5)],
  ];
  select.replaceChildren(
    ...sizes.map(([name, w, h]) => new Option(`${name}, ${w} × ${h}`, `${w}×${h}`)),
  );
  if (before && [...select.options].some(({ value }) => value === before)) select.value = before;
}
