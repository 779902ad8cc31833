import { frames, onDraw, seconds, show } from '../shared/demo.js';

const STEPS = (new URLSearchParams(location.search).get('row') ?? '2,5,10,25,50')
  .split(',')
  .map(Number);

const captions = STEPS.map((steps) => `${steps} steps`);
const canvases = frames('#pictures', captions);

onDraw(async ({ sd, settings, signal, progress, noted }) => {
  const { prompt, seed, sampler } = settings;
  for (const [i, steps] of STEPS.entries()) {
    const items = sd.stream({
      ...{ prompt, seed, sampler, steps, guidanceScale: 5, signal },
      onProgress: progress(i, STEPS.length),
    });
    for await (const item of items) {
      if (item.type === 'step') item.preview.toCanvas(canvases[i]);
      else {
        const { image, timings } = noted(item.result);
        show(canvases[i], image, `${captions[i]}, ${seconds(timings.total)}`);
      }
    }
  }
});
