import { StableDiffusion } from 'stable-diffusion-web';

/** Draws with the model that the address names and gives the SHA-256 of the pixels. */
export async function draw() {
  const model = new URLSearchParams(location.search).get('model');
  const sd = await StableDiffusion.load(model, { backend: 'wasm', keep: false });
  const size = { width: 128, height: 128 };
  const { image } = await sd.generate({ prompt: 'a lake at dawn', ...size, steps: 2, seed: 7 });
  await sd.dispose();
  document.body.append(image.toCanvas());
  const digest = await crypto.subtle.digest('SHA-256', image.data);
  return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}
