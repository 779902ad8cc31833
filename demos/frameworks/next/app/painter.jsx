'use client';

import { useEffect, useState } from 'react';
import { useStableDiffusion } from 'stable-diffusion-web/react';

export function Painter({ model }) {
  const { status, progress, generate } = useStableDiffusion(model);
  const [prompt, setPrompt] = useState('a red lighthouse by the sea at dusk');
  const [busy, setBusy] = useState(false);
  const [picture, setPicture] = useState();
  const [error, setError] = useState();

  // The browser keeps a picture for as long as its address is not revoked.
  useEffect(() => () => URL.revokeObjectURL(picture?.url), [picture]);

  async function draw(event) {
    event.preventDefault();
    setBusy(true);
    setError(undefined);
    try {
      const { image, seed } = await generate({ prompt, steps: 20, guidanceScale: 5 });
      setPicture({ url: URL.createObjectURL(await image.toBlob()), alt: prompt, seed });
    } catch (failure) {
      if (failure.code !== 'ABORTED') setError(`${failure.message} (${failure.code})`);
    } finally {
      setBusy(false);
    }
  }

  return (
    <main style={{ maxWidth: '32rem', margin: '2rem auto', font: '1rem/1.5 system-ui' }}>
      <h1>Draw a picture</h1>
      <form onSubmit={draw}>
        <label>
          Prompt{' '}
          <input value={prompt} onChange={({ target }) => setPrompt(target.value)} size="40" />
        </label>{' '}
        <button disabled={busy}>Draw</button>
      </form>
      {busy && progress && (
        <progress value={progress.done} max={progress.total ?? 1} aria-label="Progress" />
      )}
      <p role="status">{status === 'loading' ? 'Loading the model …' : ''}</p>
      {error && <p role="alert">{error}</p>}
      {picture && (
        <figure style={{ margin: 0 }}>
          <img src={picture.url} alt={picture.alt} style={{ width: '100%' }} />
          <figcaption>Seed {picture.seed}</figcaption>
        </figure>
      )}
    </main>
  );
}
