import { frames, onDraw, percent, show } from '../shared/demo.js';

const COUNT = 6;
const STRENGTHS = [0, 0.1, 0.25, 0.5, 0.75, 1];

const names = Array.from({ length: COUNT }, (_, i) => `Seed ${i + 1}`);
const seeds = frames('#seeds', names);
const variations = frames(
  '#variations',
  STRENGTHS.map((strength) => `${percent(strength, 0)} of another`),
);

onDraw(async ({ sd, settings, signal, progress, noted }) => {
  const { prompt, seed, steps } = settings;
  const same = { prompt, seed, steps, guidanceScale: 5, signal };
  const calls = 1 + STRENGTHS.length;

  // Picture i of one call has the seed `seed + i`, so that each can be drawn again alone.
  const { images } = noted(
    await sd.generate({ ...same, count: COUNT, onProgress: progress(0, calls) }),
  );
  images.forEach((image, i) => show(seeds[i], image, `Seed ${image.seed}`));

  for (const [i, subseedStrength] of STRENGTHS.entries()) {
    const options = { ...same, subseed: seed + 1000, subseedStrength };
    const onProgress = progress(i + 1, calls);
    const { image } = noted(await sd.generate({ ...options, onProgress }));
    show(variations[i], image, `${percent(subseedStrength, 0)} of seed ${seed + 1000}`);
  }
});
