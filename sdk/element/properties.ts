import { attributeOf, GENERATE, LOAD } from './attributes.ts';

/** Properties that mirror an attribute of the same name, and how its text is read. */
const MIRRORED = { ...GENERATE, ...LOAD, src: String, alt: String, name: String };
/** Those whose attribute is there or not. */
const SWITCHES = ['autorun', 'disabled', 'readonly', 'required'];

/** Gives elements of `prototype` the properties; `undefined` removes an attribute. */
export function mirrorAttributes(prototype: Element): void {
  const define = (name: string, accessors: PropertyDescriptor & ThisType<Element>) =>
    Object.defineProperty(prototype, name, { configurable: true, enumerable: true, ...accessors });
  for (const [name, read] of Object.entries(MIRRORED)) {
    const attribute = attributeOf(name);
    define(name, {
      get() {
        const written = this.getAttribute(attribute);
        return written === null ? undefined : read(written);
      },
      set(value: unknown) {
        if (value === undefined || value === null) this.removeAttribute(attribute);
        else this.setAttribute(attribute, value === true ? '' : String(value));
      },
    });
  }
  for (const name of SWITCHES)
    define(name, {
      get() {
        return this.hasAttribute(name);
      },
      set(value: unknown) {
        this.toggleAttribute(name, Boolean(value));
      },
    });
}

/** Frameworks set properties before the class is defined; those would hide the accessors. */
export function claimProperties(element: Element): void {
  for (const name of [...Object.keys(MIRRORED), ...SWITCHES, 'model'])
    if (Object.hasOwn(element, name)) {
      const value: unknown = Reflect.get(element, name);
      Reflect.deleteProperty(element, name);
      Reflect.set(element, name, value);
    }
}
