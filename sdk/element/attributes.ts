import type { GenerateOptions, LoadOptions } from '../index.ts';

// The attributes of <stable-diffusion>. Each is also a property, spelled as the SDK spells it.

type Reader = (text: string) => unknown;

const text: Reader = (value) => value;
/** What is no number becomes NaN, which the SDK refuses with a sentence. */
const number: Reader = (value) => (value.trim() === '' ? undefined : Number(value));
const FLAGS = new Map<string, boolean>([['', true], ['true', true], ['false', false]]); // prettier-ignore
/** `seamless` alone is `true`, as of any attribute that needs no value. */
const flag: Reader = (value) => FLAGS.get(value) ?? value;

/** Options of `generate`. */
export const GENERATE = {
  prompt: text,
  negativePrompt: text,
  steps: number,
  guidanceScale: number,
  guidanceRescale: number,
  guidanceStart: number,
  guidanceEnd: number,
  seed: number,
  subseed: number,
  subseedStrength: number,
  width: number,
  height: number,
  strength: number,
  sampler: text,
  eta: number,
  clipSkip: number,
  count: number,
  rng: text,
  preview: text,
  syntax: text,
  seamless: flag,
} as const satisfies Partial<Record<keyof GenerateOptions, Reader>>;

/** Options of `load`. */
export const LOAD = {
  backend: text,
  dtype: text,
  variant: text,
  threads: number,
  keep: flag,
  memory: text,
} as const satisfies Partial<Record<keyof LoadOptions, Reader>>;

export type GenerateName = keyof typeof GENERATE;
export type LoadName = keyof typeof LOAD;

/** `guidanceScale` is written `guidance-scale` in HTML. */
export const attributeOf = (property: string): string =>
  property.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

/** The options that are written on `element`; what is not written is left to the SDK's defaults. */
export function readAttributes(
  element: Pick<Element, 'getAttribute'>,
  readers: Readonly<Record<string, Reader>>,
): Record<string, unknown> {
  const found: Record<string, unknown> = {};
  for (const [name, read] of Object.entries(readers)) {
    const written = element.getAttribute(attributeOf(name));
    const value = written === null ? undefined : read(written);
    if (value !== undefined) found[name] = value;
  }
  return found;
}
