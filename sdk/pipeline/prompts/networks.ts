import { WORD } from '../../tokenizer/python-regex.ts';

/** A LoRA that a prompt names, with its strength for the text encoder and for the UNet. */
export interface LoraReference {
  name: string;
  textEncoder: number;
  unet: number;
}

export interface NetworkReferences {
  /** The prompt without its `<…>`. */
  text: string;
  loras: LoraReference[];
  /** References of other kinds, such as `<hypernet:x:1>`, which are taken out and do nothing. */
  others: string[];
}

const REFERENCE = new RegExp(`<(${WORD}+):([^>]+)>`, 'gu');

/**
 * Takes `<lora:name>`, `<lora:name:0.8>`, `<lora:name:0.8:0.5>` (text encoder, UNet) and
 * `<lora:name:te=0.8:unet=0.5>` out of a prompt, as A1111 does. `<lyco:…>` means the same.
 * A strength that is not a number leaves the reference among the `others`.
 */
export function extractNetworks(prompt: string): NetworkReferences {
  const loras: LoraReference[] = [];
  const others: string[] = [];
  const text = prompt.replace(REFERENCE, (reference, kind: string, argument: string) => {
    const lora = kind === 'lora' || kind === 'lyco' ? readLora(argument.split(':')) : undefined;
    if (lora) loras.push(lora);
    else others.push(reference);
    return '';
  });
  return { text, loras, others };
}

function readLora(items: string[]): LoraReference | undefined {
  const positional: string[] = [];
  const named = new Map<string, string>();
  for (const item of items) {
    const parts = item.split('=');
    if (parts.length === 2) named.set(parts[0], parts[1]);
    else positional.push(item);
  }
  const [name, first, second] = positional;
  const textEncoder = Number(named.get('te') ?? first ?? 1);
  const unet = Number(named.get('unet') ?? second ?? textEncoder);
  if (!name || !Number.isFinite(textEncoder) || !Number.isFinite(unet)) return undefined;
  return { name, textEncoder, unet };
}
