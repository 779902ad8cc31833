// What the frame's URL may say. Whoever embeds the page writes it, so nothing in it is believed:
// each value is checked against what it may be, and what fails is left out and named.

const MOST_TEXT = 2000;

const text = (value) =>
  value.length <= MOST_TEXT && !/\p{Surrogate}/u.test(value) ? value : undefined;
/** Decimal digits only: neither `0x10` nor `1e9` nor a blank. */
const number = (low, high) => (value) =>
  /^\d{1,16}(\.\d{1,6})?$/.test(value) && Number(value) >= low && Number(value) <= high
    ? value
    : undefined;
const integer = (low, high, step) => (value) =>
  /^\d{1,16}$/.test(value) && Number(value) % step === 0 ? number(low, high)(value) : undefined;
const oneOf =
  (...all) =>
  (value) =>
    all.includes(value) ? value : undefined;

/** Attributes of `<stable-diffusion>`, with limits that keep a stranger's frame from eating a device. */
const ATTRIBUTES = new Map([
  ['prompt', text],
  ['negative-prompt', text],
  ['alt', text],
  ['steps', integer(1, 150, 1)],
  ['guidance-scale', number(0, 30)],
  ['seed', integer(0, Number.MAX_SAFE_INTEGER, 1)],
  ['width', integer(64, 1024, 8)],
  ['height', integer(64, 1024, 8)],
  ['sampler', (value) => (/^[\w+ ]{1,40}$/.test(value) ? value : undefined)],
  ['syntax', oneOf('plain', 'a1111')],
  ['backend', oneOf('auto', 'webgpu', 'wasm')],
  ['dtype', oneOf('f32', 'f16', 'i8')],
]);

export const STANDARD_MODEL = '/demos/landscapes/model/';

/**
 * @param {string} search the query of the frame's URL
 * @param {string} page the frame's URL
 * @returns {{
 *   attributes: Record<string, string>,
 *   model: string,
 *   parent: string | undefined,
 *   refused: string[],
 * }} `parent` is the one origin that the frame will talk to; `refused` names what was left out
 */
export function readEmbedOptions(search, page) {
  const query = new URLSearchParams(search);
  const attributes = {};
  const refused = [];
  let model = new URL(STANDARD_MODEL, page).href;
  let parent;
  for (const name of new Set(query.keys())) {
    const values = query.getAll(name);
    // Given twice, a name could be read one way here and another way by who checks the URL.
    const value = values.length === 1 ? values[0] : undefined;
    let good = false;
    if (value !== undefined && ATTRIBUTES.has(name)) {
      const checked = ATTRIBUTES.get(name)(value);
      good = checked !== undefined;
      if (good) attributes[name] = checked;
    } else if (value !== undefined && name === 'model') {
      const folder = modelFolder(value, page);
      good = folder !== undefined;
      if (good) model = folder;
    } else if (value !== undefined && name === 'parent') {
      parent = exactOrigin(value);
      good = parent !== undefined;
    }
    // Shown on the page, where a sentence of a stranger's would look like ours.
    if (!good) refused.push(/^[\w-]{1,40}$/.test(name) ? name : '…');
  }
  return { attributes, model, parent, refused: [...new Set(refused)] };
}

/** A folder on the frame's own host: no stranger's URL makes visitors download from a third place. */
function modelFolder(value, page) {
  const host = new URL(page);
  // Backslashes, tabs and newlines mean other things to URL parsers than they look like.
  if (!/^\/(?!\/)[\w\-./%]{0,500}$/.test(value)) return undefined;
  const url = new URL(value, host);
  const same = url.origin === host.origin && url.protocol === host.protocol;
  return same && url.search === '' && url.hash === '' ? url.href : undefined;
}

/** An origin as browsers write it, such as `https://example.org`; nothing that only begins like one. */
export function exactOrigin(value) {
  try {
    const { origin, protocol } = new URL(value);
    return origin === value && (protocol === 'https:' || protocol === 'http:') ? origin : undefined;
  } catch {
    return undefined;
  }
}

/**
 * What the page around may send through the port.
 * @returns {{ type: 'prompt', prompt: string } | { type: 'generate' | 'abort' } | undefined}
 */
export function readMessage(data) {
  if (typeof data !== 'object' || data === null) return undefined;
  if (data.type === 'generate' || data.type === 'abort') return { type: data.type };
  if (data.type !== 'prompt' || typeof data.prompt !== 'string') return undefined;
  const prompt = text(data.prompt);
  return prompt === undefined ? undefined : { type: 'prompt', prompt };
}
