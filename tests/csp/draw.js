// The page of every row: loads the SDK and the model that its address names, and draws.
const query = new URLSearchParams(location.search);

async function draw() {
  try {
    const { StableDiffusion } = await import(query.get('sdk'));
    const file = query.get('file');
    const parts = file ? { unet: file, vae: file, text_encoder: file } : undefined;
    const sd = await StableDiffusion.load(query.get('model'), { backend: 'wasm', parts });
    const { image } = await sd.generate({ prompt: 'the lake', steps: 4, seed: 7 });
    const { device, notices } = sd.info;
    await sd.dispose();
    return { picture: btoa(String.fromCharCode(...image.data)), device, notices };
  } catch ({ name, code, message }) {
    return { name, code, message };
  }
}

globalThis.drawn = draw();
