import '/dist/element.js';
import { readEmbedOptions, readMessage } from './options.js';
import { mayShare, sharedModel } from './shared-model.js';

const { attributes, model, parent, refused } = readEmbedOptions(location.search, location.href);
const element = document.querySelector('stable-diffusion');
const note = document.querySelector('#note');
const notes = [];

for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
// A sandboxed frame has no storage, and that of a credentialless one goes with it.
const fleeting = self.origin === 'null' || window.credentialless === true;
element.loadOptions = { keep: !fleeting };
element.src = model;
if (mayShare() && !fleeting)
  element.model = async (signal) => {
    // What goes wrong there is told of better by the SDK, which then fetches the model itself.
    const files = await sharedModel(model, signal).catch(() => undefined);
    // The files are kept already, in the storage that all sites share.
    element.loadOptions = { keep: files === undefined };
    return files ?? model;
  };
if (fleeting) notes.push('This frame keeps nothing: the model is downloaded each time.');
if (refused.length > 0) notes.push(`Not understood in the address: ${refused.join(', ')}.`);

if (parent !== undefined && window.parent !== window) {
  notes.push(`Pictures are also given to ${parent}.`);
  connect(parent);
}
note.textContent = notes.join(' ');

/**
 * Hands the page around us a port. The frame speaks first and never listens on its window, so that no
 * other page has a way in; the browser delivers the port to this very origin or to nobody.
 */
function connect(origin) {
  const { port1: port, port2: theirs } = new MessageChannel();
  let loaded = false;
  port.onmessage = ({ data }) => {
    const message = readMessage(data);
    if (message?.type === 'prompt') element.prompt = message.prompt;
    if (message?.type === 'abort') element.abort();
    if (message?.type !== 'generate') return;
    // The download needs the click of a person, and only we can see that there was one.
    if (loaded) element.generate().catch(() => {});
    else
      port.postMessage({ type: 'error', code: 'NOT_STARTED', message: 'Nobody has clicked yet.' });
  };
  element.addEventListener('load', () => (loaded = true));
  element.addEventListener('progress', ({ detail }) =>
    port.postMessage({ type: 'progress', ...detail }),
  );
  element.addEventListener('image', ({ detail: { image } }) => {
    const { width, height, seed } = image;
    port.postMessage({ type: 'image', width, height, seed, file: element.value });
  });
  element.addEventListener('error', ({ detail: { code, message } }) =>
    port.postMessage({ type: 'error', code, message }),
  );
  element.addEventListener('abort', () => port.postMessage({ type: 'abort' }));
  new ResizeObserver(() => {
    const height = Math.ceil(document.body.getBoundingClientRect().height);
    port.postMessage({ type: 'resize', height });
  }).observe(document.body);
  window.parent.postMessage({ type: 'stable-diffusion-web/ready', version: 1 }, origin, [theirs]);
}
