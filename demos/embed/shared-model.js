// One download for all the sites that frame this page. A frame's storage is kept apart for each site
// around it; the Storage Access API (Chromium 125) gives it, after a click, the storage it has as a page
// of its own. That is only for documents, not for workers: so the files lie in its Cache Storage, and
// the SDK is given them as Blobs, which are not copied.

const CACHE = 'stable-diffusion-web/models';
/** What each part of a diffusers folder may consist of; what is not there is left out. */
const WEIGHTS = ['model.safetensors', 'diffusion_pytorch_model.safetensors'];
const FILES = {
  scheduler: ['scheduler_config.json'],
  tokenizer: ['vocab.json', 'merges.txt', 'special_tokens_map.json', 'tokenizer_config.json'],
  text_encoder: ['config.json', ...WEIGHTS],
  unet: ['config.json', ...WEIGHTS],
  vae: ['config.json', ...WEIGHTS],
};

/** True where a click may bring unpartitioned storage. */
export const mayShare = () => window.parent !== window && 'StorageAccessHandle' in window;

/**
 * The files of a model folder, from the storage that all sites share.
 * @param {string} folder the folder's URL
 * @param {AbortSignal} signal
 * @returns {Promise<Map<string, Blob> | undefined>} undefined where the browser or the person says no
 */
export async function sharedModel(folder, signal) {
  let handle;
  try {
    handle = await document.requestStorageAccess({ caches: true });
  } catch {
    return undefined;
  }
  if (!handle?.caches) return undefined;
  const cache = await handle.caches.open(CACHE);
  const index = await file(cache, new URL('model_index.json', folder), signal);
  if (!index) return undefined;
  const parts = Object.keys(JSON.parse(await index.text())).filter((name) => name in FILES);
  const paths = parts.flatMap((part) => FILES[part].map((name) => `${part}/${name}`));
  const blobs = await Promise.all(paths.map((path) => file(cache, new URL(path, folder), signal)));
  const found = paths.map((path, i) => [path, blobs[i]]).filter(([, blob]) => blob);
  // Split into many files, or of another layout: the SDK finds its way by the address.
  const whole = ['unet', 'vae', 'text_encoder'].every((part) =>
    WEIGHTS.some((name) => found.some(([path]) => path === `${part}/${name}`)),
  );
  return whole ? new Map([['model_index.json', index], ...found]) : undefined;
}

/** A file's bytes; undefined where there is none, which is not kept. */
async function file(cache, url, signal) {
  const kept = await cache.match(url);
  if (kept) return kept.blob();
  const answer = await fetch(url, { signal });
  if (!answer.ok) return undefined;
  const blob = await answer.blob();
  // A body that was cut short in the middle ends like a whole one.
  const length = answer.headers.get('Content-Length');
  if (length !== null && !answer.headers.has('Content-Encoding') && Number(length) !== blob.size)
    throw new TypeError(`${url} ended after ${blob.size} of ${length} bytes.`);
  // A cache that is full is no reason not to draw.
  await cache.put(url, new Response(blob)).catch(() => {});
  return blob;
}
