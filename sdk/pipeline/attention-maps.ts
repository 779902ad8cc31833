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
    const found = headMean(layer, tokens);
    for (let token = 0; token < tokens; token++) {
      const from = found.subarray(token * layer.height * layer.width);
      const into = maps.subarray(token * height * width, (token + 1) * height * width);
      addResized(into, height, width, from, layer.height, layer.width, 1 / layers.length);
    }
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

/** Bilinear with the centres of pixels aligned: torch's `interpolate(align_corners=False)`. */
function addResized(
  into: Float32Array,
  height: number,
  width: number,
  from: Float32Array,
  fromHeight: number,
  fromWidth: number,
  factor: number,
): void {
  const place = (i: number, size: number, fromSize: number) => {
    const at = Math.max(0, ((i + 0.5) * fromSize) / size - 0.5);
    const low = Math.floor(at);
    return { low, high: Math.min(low + 1, fromSize - 1), share: at - low };
  };
  const columns = Array.from({ length: width }, (_, x) => place(x, width, fromWidth));
  for (let y = 0; y < height; y++) {
    const row = place(y, height, fromHeight);
    const [above, below] = [row.low * fromWidth, row.high * fromWidth];
    columns.forEach(({ low, high, share }, x) => {
      const top = from[above + low] * (1 - share) + from[above + high] * share;
      const bottom = from[below + low] * (1 - share) + from[below + high] * share;
      into[y * width + x] += factor * (top * (1 - row.share) + bottom * row.share);
    });
  }
}
