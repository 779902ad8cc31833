import { WORD } from '../../tokenizer/python-regex.ts';

const REFERENCE = new RegExp(`<${WORD}+:[^>]+>`, 'gu');

/**
 * Takes `<lora:name:0.8>`, `<hypernet:x:1>` and the like out of a prompt, as A1111 does. What they name
 * is loaded with the model here, so that they do nothing.
 */
export function extractNetworks(prompt: string): { text: string; references: string[] } {
  const references = prompt.match(REFERENCE) ?? [];
  return { text: prompt.replace(REFERENCE, ''), references };
}
