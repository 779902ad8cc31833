/**
 * Colours are the page's own (system colours follow its `color-scheme`); custom properties and
 * `::part()` change the rest.
 */
export const STYLES = `
:host {
  display: block;
  max-inline-size: var(--sd-width, 32rem);
  font: inherit;
}
:host([hidden]), [hidden] {
  display: none !important;
}
* {
  box-sizing: border-box;
}
[part~='base'] {
  display: grid;
  gap: 0.75rem;
}
figure {
  display: grid;
  place-items: center;
  margin: 0;
  min-block-size: 8rem;
  overflow: hidden;
  border: 1px solid color-mix(in srgb, currentcolor 20%, transparent);
  border-radius: var(--sd-radius, 0.75rem);
}
canvas, img {
  display: block;
  inline-size: 100%;
  block-size: auto;
}
[part~='pictures'] {
  display: grid;
  grid-template-columns: repeat(auto-fit, minmax(min(12rem, 100%), 1fr));
  inline-size: 100%;
}
label {
  display: grid;
  gap: 0.35rem;
}
textarea, button {
  font: inherit;
  color: inherit;
  border: 1px solid color-mix(in srgb, currentcolor 35%, transparent);
  border-radius: var(--sd-radius, 0.75rem);
}
textarea {
  inline-size: 100%;
  padding: 0.6rem 0.75rem;
  background: Field;
  color: FieldText;
  resize: vertical;
}
[part~='controls'] {
  display: flex;
  gap: 0.5rem;
}
button {
  flex: 1;
  min-block-size: 2.75rem;
  padding: 0.5rem 1rem;
  background: ButtonFace;
  color: ButtonText;
  cursor: pointer;
}
button:disabled {
  opacity: 0.5;
  cursor: default;
}
:focus-visible {
  outline: 3px solid var(--sd-accent, Highlight);
  outline-offset: 2px;
}
progress {
  inline-size: 100%;
  accent-color: var(--sd-accent, auto);
}
p {
  margin: 0;
  min-block-size: 1.4em;
  overflow-wrap: anywhere;
}
p:empty {
  min-block-size: 0;
}
[part~='error']:not(:empty) {
  padding-inline-start: 0.75rem;
  border-inline-start: 0.25rem solid #d32f2f;
}
[part~='aloud'] {
  position: absolute;
  inline-size: 1px;
  block-size: 1px;
  overflow: hidden;
  clip-path: inset(50%);
  white-space: nowrap;
}
@media (prefers-reduced-motion: no-preference) {
  canvas {
    transition: filter 0.3s;
  }
}
`;

/**
 * Gives `root` the styles. A constructed sheet, because a `<style>` needs `'unsafe-inline'` or a hash
 * in the page's Content Security Policy and this does not. It belongs to one document, and so it is
 * made anew when the element moves to another.
 */
export function adoptStyles(root: ShadowRoot): void {
  const view = root.ownerDocument.defaultView;
  if (!view) return;
  const sheet = new view.CSSStyleSheet();
  sheet.replaceSync(STYLES);
  root.adoptedStyleSheets = [sheet];
}
