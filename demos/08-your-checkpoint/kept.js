import { StableDiffusion } from '/dist/index.js';

const list = document.querySelector('#kept');
const usage = document.querySelector('#usage');

/** Shows what is kept on this device, each with a button that deletes it. */
export async function showKept(open) {
  const models = await StableDiffusion.models.list();
  const { models: bytes, quota } = await StableDiffusion.models.usage();
  usage.textContent =
    models.length === 0
      ? 'Nothing yet. A model that is kept loads the next time without a download, and offline.'
      : `${size(bytes)}${quota ? ` of the ${size(quota)} that the browser allows this site` : ''}.`;
  list.replaceChildren(...models.map((model) => item(model, open)));
}

function item({ key, name, bytes, lastUsed }, open) {
  const about = document.createElement('span');
  about.textContent = `${name}, ${size(bytes)}, last used ${lastUsed.toLocaleDateString()}`;
  const made = document.createElement('li');
  made.append(about);
  // What came from an address can be opened again; a picked file has to be picked again.
  if (/^https?:/.test(name)) made.append(button('Open', name, () => open(name, name)));
  made.append(
    button('Delete', name, async () => {
      await StableDiffusion.models.delete(key);
      await showKept(open);
      document.querySelector('#kept-title').focus();
    }),
  );
  return made;
}

function button(text, name, act) {
  const made = document.createElement('button');
  made.type = 'button';
  made.textContent = text;
  made.setAttribute('aria-label', `${text} ${name}`);
  made.addEventListener('click', act);
  return made;
}

function size(bytes) {
  const gib = bytes / 2 ** 30;
  return gib >= 1 ? `${gib.toFixed(1)} GiB` : `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}
