import type { Remember } from '../weights/checkpoint.ts';
import { once, type OtherPart } from '../weights/parts.ts';
import type { TensorReader } from '../weights/tensor.ts';
import { taesdConfig } from './names/taesd.ts';

/**
 * A part in one file, which may also be a whole checkpoint, of which the part is taken. A tiny autoencoder
 * (TAESD) brings a config of its own.
 * @param open opens the file.
 */
export function filePart(
  component: string,
  open: () => Promise<TensorReader>,
  remember: Remember,
): OtherPart {
  const tensors = once(open);
  return {
    tensors,
    async config() {
      if (component !== 'vae' && component !== 'preview') return undefined;
      const found = await remember('config.json', async () =>
        JSON.stringify(taesdConfig(await tensors()) ?? null),
      );
      return (JSON.parse(found!) as Record<string, unknown> | null) ?? undefined;
    },
  };
}
