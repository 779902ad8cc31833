/** A server has no elements, and may import this all the same. */
const Base = (globalThis.HTMLElement ?? class {}) as typeof HTMLElement;

/** What a field of a form has, as the browser's own have it. */
export class FormField extends Base {
  static readonly formAssociated = true;

  /** @internal */
  protected readonly internals = this.attachInternals();

  get form(): HTMLFormElement | null {
    return this.internals.form;
  }

  get validity(): ValidityState {
    return this.internals.validity;
  }

  get validationMessage(): string {
    return this.internals.validationMessage;
  }

  get willValidate(): boolean {
    return this.internals.willValidate;
  }

  /** False, and an `invalid` event, where something is required and there is nothing. */
  checkValidity(): boolean {
    return this.internals.checkValidity();
  }

  /** The same, and the person is told. */
  reportValidity(): boolean {
    return this.internals.reportValidity();
  }
}
