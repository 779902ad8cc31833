import { frames, heat, onDraw, show } from '../shared/demo.js';

const SCALES = (new URLSearchParams(location.search).get('row') ?? '1,2,5,10,20')
  .split(',')
  .map(Number);

const halves = frames('#halves', ['With the prompt', 'Without', 'Their difference', 'Guided']);
const scaled = frames(
  '#scales',
  SCALES.map((scale) => `Scale ${scale}`),
);
const at = document.querySelector('#at');
let taken = [];

onDraw(async ({ sd, settings, signal, progress, noted }) => {
  const { prompt, negativePrompt, seed, steps, guidanceScale } = settings;
  const same = { prompt, negativePrompt, seed, steps, signal };
  const pictures = 1 + SCALES.length;

  taken = [];
  const strip = frames(
    '#differences',
    Array.from({ length: steps }, (_, i) => `${i + 1}`),
  );
  for await (const item of sd.stream({
    ...{ ...same, guidanceScale, preview: 'vae', inspect: ['guidance'] },
    onProgress: progress(0, pictures),
  })) {
    if (item.type === 'result') noted(item.result);
    if (item.type !== 'step') continue;
    const { conditioned, unconditioned, shape } = item.guidance;
    const difference = apart(conditioned.output, unconditioned.output, shape);
    taken.push({ conditioned, unconditioned, difference, guided: item.preview });
    show(strip[item.step - 1], difference, `${item.step}`);
    strip[item.step - 1].classList.add('coarse');
    showStep(item.step);
  }

  // Where there is most to see: the composition is being decided.
  showStep(Math.ceil(taken.length / 3));

  for (const [i, scale] of SCALES.entries()) {
    const options = { ...same, guidanceScale: scale, onProgress: progress(i + 1, pictures) };
    const { image } = noted(await sd.generate(options));
    show(scaled[i], image, scale === 1 ? 'Scale 1: none' : `Scale ${scale}`);
  }
});

/** How much two predictions differ at each place: the root of the squares' sum over the channels. */
function apart(a, b, [channels, height, width]) {
  const size = height * width;
  const sums = new Float32Array(size);
  for (let i = 0; i < channels * size; i++) sums[i % size] += (a[i] - b[i]) ** 2;
  return heat(sums.map(Math.sqrt), width, height);
}

function showStep(step) {
  const { conditioned, unconditioned, difference, guided } = taken[step - 1];
  at.disabled = false;
  at.max = taken.length;
  at.value = step;
  document.querySelector('#at-out').textContent = `${step} of ${taken.length}`;
  show(halves[0], conditioned.preview);
  show(halves[1], unconditioned.preview);
  show(halves[2], difference);
  halves[2].classList.add('coarse');
  show(halves[3], guided);
}

at.addEventListener('input', () => showStep(Number(at.value)));
