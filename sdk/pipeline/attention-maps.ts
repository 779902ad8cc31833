import { bilinear } from './interpolate.ts';

/** One layer's attention from pixels to tokens, before the softmax. */
export interface AttentionLayer {
  /** `[height · width, channels]`, heads side by side. */
  readonly q: Float32Array;
  /** `[tokens, channels]` */
  readonly k: Float32Array;
  readonly heads: number;
  readonly height: number;
  readonly width: number;
}

/**
 * Where a picture looks at each token: `softmax(q·kᵀ/√d)` averaged over the heads of a layer, brought
 * to one size bilinearly, averaged over the layers. Computed on the host, from tensors that a run
 * keeps only when it is asked to, so that no engine needs to know of it.
 * @returns `[tokens, height, width]`
 */
export function attentionMaps(
  layers: readonly AttentionLayer[],
  tokens: number,
  height: number,
  width: number,
): Float32Array {
  const maps = new Float32Array(tokens * height * width);
  for (const layer of layers) {
    const shape = [1, tokens, layer.height, layer.width] as const;
    const resized = bilinear(headMean(layer, tokens), shape, height, width);
    for (let i = 0; i < maps.length; i++) maps[i] += (1 / layers.length) * resized[i];
  }
  return maps;
}

/** `[tokens, pixels]` */
function headMean({ q, k, heads, height, width }: AttentionLayer, tokens: number): Float32Array {
  const pixels = height * width;
  const channels = q.length / pixels;
  const dim = channels / heads;
  const mean = new Float32Array(tokens * pixels);
  const scores = new Float64Array(tokens);
  for (let pixel = 0; pixel < pixels; pixel++)
    for (let head = 0; head < heads; head++) {
      const at = pixel * channels + head * dim;
      let most = -Infinity;
      for (let token = 0; token < tokens; token++) {
        const key = token * channels + head * dim;
        let dot = 0;
        for (let c = 0; c < dim; c++) dot += q[at + c] * k[key + c];
        scores[token] = dot / Math.sqrt(dim);
        if (scores[token] > most) most = scores[token];
      }
      let sum = 0;
      for (let token = 0; token < tokens; token++)
        sum += scores[token] = Math.exp(scores[token] - most);
      for (let token = 0; token < tokens; token++)
        mean[token * pixels + pixel] += scores[token] / sum / heads;
    }
  return mean;
}
