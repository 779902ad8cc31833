import { StableDiffusionElement } from './stable-diffusion-element.ts';

export { StableDiffusionElement } from './stable-diffusion-element.ts';
export type { ElementModel, StableDiffusionEvents } from './types.ts';

// The package's only side effect. A server has no registry; a page may have two copies of this file.
if (typeof customElements !== 'undefined' && customElements.get('stable-diffusion') === undefined)
  customElements.define('stable-diffusion', StableDiffusionElement);

declare global {
  interface HTMLElementTagNameMap {
    'stable-diffusion': StableDiffusionElement;
  }
}
