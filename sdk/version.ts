/** The version of this package; the page and its worker compare theirs. */
export const VERSION = '0.1.0';
