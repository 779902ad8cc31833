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

onDraw(async ({ sd, settings, signal, progress, noted }) => {
  const { prompt, seed, steps } = settings;
  for (const [i, sampler] of SAMPLERS.entries()) {
    const options = { prompt, seed, steps, sampler, guidanceScale: 5, signal };
    const onProgress = progress(i, SAMPLERS.length);
    const { image, timings } = noted(await sd.generate({ ...options, onProgress }));
    show(canvases[i], image, `${sampler}, ${seconds(timings.denoise)}`);
  }
});
