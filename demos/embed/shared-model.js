// One download for all the sites that frame this page. A frame's storage is kept apart for each site
// around it; the Storage Access API (Chromium 125) gives it, after a click, the storage it has as a page
// of its own. That is only for documents, not for workers: so the files lie in its Cache Storage, and
// the SDK is given them as Blobs, which are not copied.

const CACHE = 'stable-diffusion-web/models';
/** What each part of a diffusers folder may consist of. */
const FILES = {
  scheduler: ['scheduler_config.json'],
  tokenizer: ['vocab.json', 'merges.txt', 'special_tokens_map.json', 'tokenizer_config.json'],
  text_encoder: ['config.json', 'model.safetensors'],
  unet: ['config.json', 'diffusion_pytorch_model.safetensors'],
  vae: ['config.json', 'diffusion_pytorch_model.safetensors'],
};

/**
 * True where a click may bring storage beyond cookies. The class of the handle is not exposed; this
 * method came with it (Chromium 125), and no browser without it is asked, since it might ask the person
 * for nothing but cookies.
 */
export const mayShare = () =>
  window.parent !== window && typeof document.hasUnpartitionedCookieAccess === 'function';

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
  // Chromium 156 ends the frame's process at the first use of the handle where it blocks third-party
  // cookies in general and this site was only given leave by the person; there this says false.
  if (!handle || !(await document.hasUnpartitionedCookieAccess())) return undefined;
  const cache = await handle.caches.open(CACHE);
  const index = await file(cache, new URL('model_index.json', folder), signal);
  if (!index) return undefined;
  const parts = Object.keys(JSON.parse(await index.text())).filter((name) => name in FILES);
  const paths = parts.flatMap((part) => FILES[part].map((name) => `${part}/${name}`));
  const blobs = await Promise.all(paths.map((path) => file(cache, new URL(path, folder), signal)));
  const found = paths.map((path, i) => [path, blobs[i]]).filter(([, blob]) => blob);
  // Split into many files, or of another layout: the SDK finds its way by the address.
  const weights = paths.filter((path) => path.endsWith('.safetensors'));
  const whole =
    weights.length === 3 && weights.every((path) => found.some(([one]) => one === path));
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
