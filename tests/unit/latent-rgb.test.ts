import assert from 'node:assert/strict';
import { test } from 'node:test';
import { applyRgbMap, fitRgbMap, knownRgbMap, probe } from '../../sdk/pipeline/latent-rgb.ts';

const map = {
  weights: [
    [0.3, -0.2, 0.1],
    [0.05, 0.4, -0.6],
    [-0.1, 0.2, 0.3],
  ],
  bias: [0.1, 0, -0.3],
};

test('the map of a VAE that is linear is found exactly, whatever its channels and scale', () => {
  const { latents, shape } = probe(3);
  const small = applyRgbMap(map, latents, shape);
  const [, , height, width] = shape;
  // Every latent pixel becomes 4×4 pixels of its colour, with texture of mean zero.
  const image = Float32Array.from({ length: small.length * 16 }, (_, i) => {
    const [c, y, x] = [
      Math.floor(i / (height * width * 16)),
      Math.floor(i / (width * 4)) % (height * 4),
      i % (width * 4),
    ];
    const flat = small[(c * height + Math.floor(y / 4)) * width + Math.floor(x / 4)];
    return flat + ((x + y) % 2 ? 0.1 : -0.1);
  });
  const found = fitRgbMap(latents, shape, image);
  found.weights.forEach((row, k) =>
    row.forEach((w, c) => assert.ok(Math.abs(w - map.weights[k][c]) < 1e-4, `${k} ${c} ${w}`)),
  );
  found.bias.forEach((b, c) => assert.ok(Math.abs(b - map.bias[c]) < 1e-4));
});

test('a channel that the VAE ignores does not spoil the others', () => {
  const { latents, shape } = probe(4);
  const silent = latents.slice().fill(0, (3 * latents.length) / 4);
  const image = applyRgbMap({ ...map, weights: [...map.weights, [0, 0, 0]] }, silent, shape);
  const found = fitRgbMap(silent, shape, image);
  assert.ok(Math.abs(found.weights[1][2] + 0.6) < 1e-4);
  assert.deepEqual(found.weights[3], [0, 0, 0]);
});

test('only the VAEs of SD and SDXL are known', () => {
  const config = {
    imageChannels: 3,
    latentChannels: 4,
    channels: [128, 256, 512, 512],
    layersPerBlock: 2,
    groups: 32,
    midAttention: true,
    quantConv: true,
    postQuantConv: true,
    sampleSize: 512,
    scalingFactor: 0.18215,
    shiftFactor: 0,
  };
  assert.equal(knownRgbMap(config)?.weights[0][0], 0.3512);
  assert.equal(knownRgbMap({ ...config, scalingFactor: 0.13025 })?.bias[0], 0.1084);
  assert.equal(knownRgbMap({ ...config, scalingFactor: 0.5 }), undefined);
  assert.equal(knownRgbMap({ ...config, channels: [32, 64] }), undefined);
});
