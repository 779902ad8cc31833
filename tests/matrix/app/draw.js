import { StableDiffusion } from 'stable-diffusion-web';

/** Draws with the model and gives the SHA-256 of the pixels. */
async function drawWith(model, parts) {
  const sd = await StableDiffusion.load(model, { backend: 'wasm', keep: false, parts });
  const size = { width: 128, height: 128 };
  const { image } = await sd.generate({ prompt: 'a lake at dawn', ...size, steps: 2, seed: 7 });
  await sd.dispose();
  document.body.append(image.toCanvas());
  const digest = await crypto.subtle.digest('SHA-256', image.data);
  return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** With the folder that the address names, and with its weights in one file, which needs dist/formats.js. */
export async function draw() {
  const { model, file } = Object.fromEntries(new URLSearchParams(location.search));
  return [
    await drawWith(model, undefined),
    await drawWith(model, { unet: file, vae: file, text_encoder: file }),
  ];
}
