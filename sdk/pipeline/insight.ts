import type { Answer, StepInsight } from '../inspect.ts';
import { predictOriginal } from '../samplers/prediction.ts';
import { attentionMaps } from './attention-maps.ts';
import type { Asked } from './conditions.ts';
import { rowOf } from './layout.ts';
import type { Pass } from './pass.ts';
import type { UNet } from './unet.ts';

/** An {@link StepInsight} whose previews are still latents, `[1, channels, height, width]`. */
export type LatentInsight = StepInsight<Float32Array>;

/**
 * What a step's evaluation tells beyond its result. To be called before the sampler's step.
 * @param output the UNet's answers, a row for each of `asked.pictures`
 * @param sample what the sampler holds at `t`, before `scaleModelInput`
 */
export async function insightOf(
  { job, shape, sampler, predictionType }: Pass,
  unet: UNet,
  asked: Asked,
  output: Float32Array,
  sample: Float32Array,
  t: number,
): Promise<LatentInsight> {
  const [pictures, channels, height, width] = shape;
  const prompt = asked.isGuided ? pictures : 0;
  const { inspect = [] } = job;

  const answer = (row: number): Answer<Float32Array> => {
    const own = rowOf(output, row, asked.pictures.length).slice();
    const { alpha, sigma } = sampler.levelAt(t);
    // To unit variance, which is what "prediction" is defined on.
    const norm = Math.hypot(alpha, sigma);
    const x = rowOf(sample, 0, pictures).map((v) => v / norm);
    return {
      output: own,
      preview: predictOriginal(predictionType, own, x, {
        alpha: alpha / norm,
        sigma: sigma / norm,
      }),
    };
  };
  const attention = async () => {
    const { pieces, tokens: count } = asked.context.rows[prompt].conditioning;
    const tokens = Array.from({ length: count }, (_, i) => pieces[i] ?? '');
    const layers = await unet.crossAttention(prompt);
    return { tokens, height, width, maps: attentionMaps(layers, count, height, width) };
  };
  return {
    guidance: inspect.includes('guidance')
      ? {
          conditioned: answer(prompt),
          unconditioned: asked.isGuided ? answer(0) : undefined,
          shape: [channels, height, width],
        }
      : undefined,
    attention: inspect.includes('attention') ? await attention() : undefined,
  };
}
