/** How time and memory grow with the size of the picture, the batch and the threads. */
import type { Backend } from '../../sdk/backends/backend.ts';
import * as models from '../../sdk/models/index.ts';
import { builtInConfigs } from '../../sdk/formats/names/configs.ts';
import { prepare } from './shapes.ts';

const SIZES = [32, 48, 64, 96, 128];
const BATCHES = [1, 2, 4];
/** The edge of the latents at which batches and threads are compared. */
const EDGE = 48;

const sd1 = builtInConfigs({
  family: 'sd1',
  inChannels: 4,
  predictionType: 'epsilon',
  zeroTerminalSnr: false,
});
/** The UNet of cpu_models.py: that of Stable Diffusion 1.5 with half the channels. */
const unet = models.parseUNetConfig({
  ...(sd1.unet as object),
  block_out_channels: [160, 320, 640, 640],
});
const vae = models.parseVaeConfig(sd1.vae);

/**
 * Prints a Markdown table; weights are random float16.
 * @param open an engine of so many threads
 */
export async function growth(
  open: (threads: number) => Promise<Backend>,
  runs: number,
  say: (line: string) => void,
): Promise<void> {
  say('| model | latents | batch | threads | seconds | weights, MB | activations, MB |');
  say('| ----- | ------- | ----: | ------: | ------: | ----------: | --------------: |');
  const row = async (
    backend: Backend,
    [model, edge, batch, threads]: [model: 'half UNet' | 'VAE decoder', ...number[]],
  ): Promise<void> => {
    const size = { batch, height: edge, width: edge };
    const isUNet = model === 'half UNet';
    const graph = isUNet
      ? models.traceUNet(unet, { ...size, tokens: 77 })
      : models.traceVaeDecoder(vae, size);
    const ready = await prepare(backend, { name: model, flops: 0, graph }, 'f16');
    // What belongs to the prompt is computed by a run that does not count.
    if (isUNet) await ready.run();
    const times: number[] = [];
    for (let i = 0; i < (isUNet ? runs : 1); i++) times.push(await ready.run());
    const seconds = Math.min(...times) / 1000;
    const { weightBytes, arenaBytes } = ready.program.report;
    ready.dispose();
    const cells = [model, `${edge}²`, batch, threads, seconds.toFixed(2)];
    say(`| ${[...cells, mega(weightBytes), mega(arenaBytes)].join(' | ')} |`);
  };
  const two = await open(2);
  for (const edge of SIZES) await row(two, ['half UNet', edge, 1, 2]);
  for (const batch of BATCHES.slice(1)) await row(two, ['half UNet', EDGE, batch, 2]);
  for (const edge of SIZES) await row(two, ['VAE decoder', edge, 1, 2]);
  await two.dispose();
  const one = await open(1);
  await row(one, ['half UNet', EDGE, 1, 1]);
  await row(one, ['VAE decoder', 32, 1, 1]);
  await one.dispose();
}

const mega = (bytes: number): string => (bytes / 1e6).toFixed(0);
