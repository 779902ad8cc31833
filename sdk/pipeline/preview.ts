import type { Picture } from '../image.ts';
import type { Answer, StepInsight } from '../inspect.ts';
import type { PreviewKind, PreviewState } from '../options.ts';
import { applyRgbMap, fitRgbMap, knownRgbMap, probe, type RgbMap } from './latent-rgb.ts';
import { rowOf } from './layout.ts';
import type { Pipeline } from './pipeline.ts';
import { toPicture } from './pixels.ts';
import type { StepEvent } from './request.ts';

/** Shows the steps of a run. Keep one for each model: what it learns of the VAE stays good. */
export class Previewer {
  readonly #pipeline: Pipeline;
  #map: RgbMap | undefined;

  constructor(pipeline: Pipeline) {
    this.#pipeline = pipeline;
  }

  /**
   * The first of the run's pictures after a step.
   * @param kind `rgb` gives one pixel for each latent pixel; `vae` the full size
   * @param state the clean picture that the step predicts, or the noisy sample it left
   */
  async show(
    kind: PreviewKind,
    event: StepEvent,
    signal?: AbortSignal,
    state: PreviewState = 'denoised',
  ): Promise<Picture | undefined> {
    if (kind === 'none') return undefined;
    const [pictures, channels, height, width] = event.shape;
    const all = await event.latents(state);
    const latents = rowOf(all, 0, pictures);
    const shape = [1, channels, height, width] as const;
    if (kind === 'rgb') {
      const map = (this.#map ??= await this.#findMap(signal));
      return toPicture(applyRgbMap(map, latents, shape), 0, width, height);
    }
    const scale = this.#pipeline.sizeStep;
    const image = await this.#pipeline.decode(latents, shape, signal);
    return toPicture(image, 0, width * scale, height * scale);
  }

  /** The same of what was asked for beyond the step's result: latents become pictures. */
  async showInsight(
    kind: PreviewKind,
    { insight, ...event }: StepEvent,
    signal?: AbortSignal,
  ): Promise<StepInsight<Picture> | undefined> {
    if (!insight?.guidance) return insight && { attention: insight.attention };
    const [, ...size] = event.shape;
    const shown = async ({ output, preview }: Answer<Float32Array>): Promise<Answer<Picture>> => {
      const latents = async () => preview!;
      const alone: StepEvent = { ...event, shape: [1, ...size], latents };
      return { output, preview: await this.show(kind, alone, signal) };
    };
    const { conditioned, unconditioned, shape } = insight.guidance;
    const guidance = {
      conditioned: await shown(conditioned),
      unconditioned: unconditioned && (await shown(unconditioned)),
      shape,
    };
    return { guidance, attention: insight.attention };
  }

  async #findMap(signal?: AbortSignal): Promise<RgbMap> {
    const { kl, latentChannels } = this.#pipeline.vaeModel;
    const known = kl && knownRgbMap(kl);
    if (known) return known;
    const { latents, shape } = probe(latentChannels);
    return fitRgbMap(latents, shape, await this.#pipeline.decode(latents, shape, signal));
  }
}
