import { frames, onDraw, seconds, show } from '../shared/demo.js';

const SAMPLERS = [
  'DDIM',
  'Euler',
  'Heun',
  'LMS',
  'PNDM',
  'UniPC',
  'DEIS',
  'DPM++ 2M',
  'DPM++ 2M Karras',
  'DPM2',
  'Euler a',
  'DPM++ 2M SDE',
  'DPM2 a',
  'DDPM',
];

const canvases = frames('#pictures', SAMPLERS);

onDraw(async ({ sd, settings, signal, progress }) => {
  const { prompt, seed, steps } = settings;
  let said;
  for (const [i, sampler] of SAMPLERS.entries()) {
    const { image, timings, notices } = await sd.generate({
      ...{ prompt, seed, steps, sampler, guidanceScale: 5, signal },
      onProgress: progress(i, SAMPLERS.length),
    });
    show(canvases[i], image, `${sampler}, ${seconds(timings.denoise)}`);
    said = notices;
  }
  return said;
});
