/**
 * node --import tsx tests/bench/plan.ts
 *
 * What SD 1.5, 2.1 and SDXL take on a GPU, computed without one: both halves of guidance in one batch,
 * f16 activations, the text encoder (SDXL: the first one) and the VAE's decoder included. Buffers may
 * be 1 GiB, bindings no more than the 128 MiB that every device has.
 */
import { reportPlan } from '../../sdk/backends/webgpu/report.ts';
import { graphsOf, peak } from '../support/real-models.ts';

const MIB = 2 ** 20;
const options = { storage: 'f16', maxBuffer: 2 ** 30 } as const;
const mib = (bytes: number): string => (bytes / MIB).toFixed(0);
const row = (...cells: readonly (string | number)[]): void =>
  console.log(`| ${cells.join(' | ')} |`);

row(
  ...['model', 'edge', 'weights', 'dispatches a step', 'once', 'UNet arena', 'VAE arena'],
  ...['weights (MiB)', 'peak (MiB)', 'largest binding (MiB)', 'largest dispatch (GFLOP)'],
);
row(...new Array<string>(11).fill('---'));
for (const [family, name] of [
  ['sd1', 'SD 1.5'],
  ['sd2', 'SD 2.1'],
  ['sdxl', 'SDXL'],
] as const)
  for (const edge of [512, 1024])
    for (const weights of ['f16', 'i8'] as const) {
      const graphs = Object.values(graphsOf(family, edge / 8));
      const reports = graphs.map((graph) => reportPlan(graph, { ...options, weights }));
      const [unet, vae] = reports;
      row(
        ...[name, edge, weights, unet.perStepDispatches, unet.onceDispatches],
        ...[mib(unet.arenaBytes), mib(vae.arenaBytes)],
        mib(reports.reduce((sum, { weightBytes }) => sum + weightBytes, 0)),
        mib(peak(reports)),
        mib(Math.max(...reports.map((report) => report.largestBinding))),
        (Math.max(...reports.map((report) => report.largestDispatch)) / 1e9).toFixed(1),
      );
    }

const { unet, vae } = graphsOf('sd1', 64);
for (const [title, graph] of [
  ["SD 1.5's UNet at 512², a step", unet],
  ["its VAE's decoder", vae],
] as const) {
  console.log(`\n${title}, f16 weights\n`);
  row('kernel', 'dispatches', 'GFLOP', 'MiB moved');
  row(...new Array<string>(4).fill('---'));
  const { kernels } = reportPlan(graph, { ...options, weights: 'f16' });
  for (const [kernel, { dispatches, flops, bytes }] of kernels)
    row(kernel, dispatches, (flops / 1e9).toFixed(1), mib(bytes));
}
