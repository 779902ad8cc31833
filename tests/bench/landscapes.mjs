// `node tests/bench/landscapes.mjs [chromium|firefox|webkit …] [--runs N] [--steps N]`: seconds for
// one picture of the landscapes model, 20 steps with guidance, in each browser that is named (all by
// default). The picture is checked to be the same in all of them, to one grey level.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cpus, loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { listen } from '../../demos/serve.mjs';
import { ENGINES, openBrowser } from '../support/browsers.mjs';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { runs: { type: 'string', default: '5' }, steps: { type: 'string', default: '20' } },
});
const strange = positionals.filter((name) => !ENGINES.includes(name));
if (strange.length > 0) {
  console.error(`No browser ${strange.join(', ')}. There are: ${ENGINES.join(', ')}.`);
  process.exit(1);
}
const names = positionals.length > 0 ? positionals : ENGINES;
const [runs, steps] = [Number(values.runs), Number(values.steps)];
if (!existsSync('dist/index.js')) spawnSync('npm', ['run', 'setup'], { stdio: 'inherit' });

const RUN = `
  const [runs, steps] = arguments;
  const { StableDiffusion } = await import('/dist/index.js');
  const begin = performance.now();
  const sd = await StableDiffusion.load('/demos/landscapes/model/', { backend: 'wasm', keep: false });
  const load = performance.now() - begin;
  const options = { prompt: 'a red lighthouse by the sea at dusk', guidanceScale: 5, seed: 7, steps };
  let result = await sd.generate(options); // warms up
  const timings = [];
  for (let i = 0; i < runs; i++) {
    result = await sd.generate(options);
    timings.push(result.timings);
  }
  await sd.dispose();
  return { load, timings, device: sd.info.device, pixels: [...result.image.data] };`;

const median = (numbers) => [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)];
const seconds = (ms) => (ms / 1000).toFixed(2);

console.log(`${cpus().length} × ${cpus()[0].model}, load ${loadavg()[0].toFixed(1)}`);
console.log(`landscapes, 128 × 128, ${steps} steps with guidance, median of ${runs}, seconds\n`);
const server = await listen(8700);
let first;
try {
  for (const name of names) {
    const page = await openBrowser(name);
    try {
      // Any page of ours that does nothing by itself.
      await page.goto(`http://localhost:${server.address().port}/demos/embed/`);
      const { load, timings, device, pixels } = await page.evaluate(RUN, runs, steps);
      const of = (stage) => seconds(median(timings.map((timing) => timing[stage])));
      console.log(`${page.version} (${device})`);
      console.log(
        `  picture ${of('total')}: text ${of('encode')}, denoising ${of('denoise')}, decoding ${of('decode')}; loading ${seconds(load)}`,
      );
      first ??= pixels;
      const farthest = pixels.reduce(
        (most, value, i) => Math.max(most, Math.abs(value - first[i])),
        0,
      );
      if (farthest > 1) {
        console.error(`  another picture than in ${names[0]}: ${farthest} grey levels away`);
        process.exitCode = 1;
      }
    } finally {
      await page.close();
    }
  }
} finally {
  server.close();
}
