// The oEmbed document (oembed.com) of the frame, for editors that turn a pasted link into a frame.

const WIDTH = 544;
const HEIGHT = 720;

const escape = (text) => text.replace(/[&<>"']/g, (letter) => `&#${letter.codePointAt(0)};`);

/**
 * @param {URLSearchParams} query `url`: what was pasted; `maxwidth`, `maxheight`: the room there is
 * @param {string} origin of this server
 * @returns {object | undefined} undefined where `url` is no page of ours
 */
export function oembed(query, origin) {
  let url;
  try {
    url = new URL(query.get('url') ?? '/demos/embed/', origin);
  } catch {
    return undefined;
  }
  if (url.origin !== origin || url.pathname !== '/demos/embed/') return undefined;
  const format = query.get('format') ?? 'json';
  if (format !== 'json') return undefined;
  const room = (name, standard) => {
    const asked = query.get(name) ?? '';
    return /^\d{1,5}$/.test(asked) ? Math.min(standard, Number(asked)) : standard;
  };
  const [width, height] = [room('maxwidth', WIDTH), room('maxheight', HEIGHT)];
  return {
    version: '1.0',
    type: 'rich',
    provider_name: 'stable-diffusion-web',
    provider_url: origin,
    title: 'Draw a picture with Stable Diffusion',
    width,
    height,
    html: `<iframe src="${escape(url.href)}" width="${width}" height="${height}" allow="cross-origin-isolated; clipboard-write" loading="lazy" style="border:0" title="Draw a picture with Stable Diffusion"></iframe>`,
  };
}
