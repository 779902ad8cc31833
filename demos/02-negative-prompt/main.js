import { distance, frames, onDraw, percent, show } from '../shared/demo.js';

const [without, withIt] = frames('#pictures', ['Without a negative prompt', 'With it']);

onDraw(async ({ sd, settings, signal, progress, noted }) => {
  const { prompt, negativePrompt, seed, steps } = settings;
  const same = { prompt, seed, steps, guidanceScale: 5, signal };

  const plain = noted(await sd.generate({ ...same, onProgress: progress(0, 2) }));
  show(without, plain.image, 'Without a negative prompt');

  const guided = noted(await sd.generate({ ...same, negativePrompt, onProgress: progress(1, 2) }));
  show(withIt, guided.image, negativePrompt ? `Away from “${negativePrompt}”` : 'With it');

  return `The two differ by ${percent(distance(plain.image, guided.image))}.`;
});
