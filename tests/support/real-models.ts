import type { PlanReport } from '../../sdk/backends/webgpu/report.ts';
import type { Graph } from '../../sdk/graph/index.ts';
import * as models from '../../sdk/models/index.ts';
import { builtInConfigs } from '../../sdk/formats/names/configs.ts';

/** The graphs of a real model for pictures of so many latent pixels, both halves of guidance at once. */
export function graphsOf(family: 'sd1' | 'sd2' | 'sdxl', latent: number): Record<string, Graph> {
  const configs = builtInConfigs({
    family,
    inChannels: 4,
    predictionType: 'epsilon',
    zeroTerminalSnr: false,
  });
  const size = { height: latent, width: latent };
  const text = configs.textEncoders.get('text_encoder');
  return {
    unet: models.traceUNet(models.parseUNetConfig(configs.unet), {
      batch: 2,
      ...size,
      tokens: 77,
    }),
    vae: models.traceVaeDecoder(models.parseVaeConfig(configs.vae), { batch: 1, ...size }),
    text: models.traceClipText(models.parseClipTextConfig(text), {
      batch: 2,
      tokens: 77,
      skip: 0,
      finalNorm: true,
    }),
  };
}

/** Weights of all parts stay; one part's activations live at a time. */
export function peak(reports: PlanReport[]): number {
  const weights = reports.reduce((sum, r) => sum + r.weightBytes, 0);
  return weights + Math.max(...reports.map((r) => r.arenaBytes + r.scratchBytes));
}
