import { SDError } from '../../errors.ts';
import type { TensorReader } from '../../weights/tensor.ts';

/**
 * The tiny autoencoder as its author saves it (madebyollin/taesd): two plain `nn.Sequential`s, each in
 * a file of its own, `taesd_decoder.pth`, or both in one. diffusers keeps the encoder's numbers, and
 * counts one less in the decoder, whose first layer, a clamp, holds no weights.
 * @returns the name in such a file, without what comes before the numbers
 */
export function taesdName(name: string): string {
  return name.replace(/^(encoder|decoder)\.layers\.(\d+)\./, (_, side: string, index: string) => {
    const number = side === 'decoder' ? Number(index) + 1 : Number(index);
    return `${side}.${number}.`;
  });
}

/** What may stand before the numbers of the decoder, and of the encoder beside it. */
const KINDS = [
  { decoder: 'decoder.layers.', encoder: 'encoder.layers.', first: 0 },
  { decoder: 'taesd_decoder.', encoder: 'taesd_encoder.', first: 1 },
  { decoder: 'decoder.', encoder: 'encoder.', first: 1 },
  { decoder: '', encoder: undefined, first: 1 },
] as const;

/**
 * The config of a tiny autoencoder, from the tensors of its file; undefined for any other file.
 * Without an encoder in it, `encoder_block_out_channels` is empty.
 * @throws SDError UNSUPPORTED_FORMAT for an encoder on its own
 */
export function taesdConfig(reader: TensorReader): Record<string, unknown> | undefined {
  if (reader.info('0.weight') && reader.info('1.conv.0.weight'))
    throw new SDError(
      'UNSUPPORTED_FORMAT',
      'This file holds the encoder of TAESD alone. Give the decoder (taesd_decoder), or a file with both.',
    );
  for (const { decoder, encoder, first } of KINDS) {
    // A convolution, a ReLU, and then blocks: no other autoencoder begins so.
    const start = reader.info(`${decoder}${first}.weight`);
    if (!start || !reader.info(`${decoder}${first + 2}.conv.0.weight`)) continue;
    const [channels, latentChannels] = start.shape;
    const encoderStart = encoder === undefined ? undefined : reader.info(`${encoder}0.weight`);
    return {
      _class_name: 'AutoencoderTiny',
      latent_channels: latentChannels,
      decoder_block_out_channels: new Array(4).fill(channels),
      encoder_block_out_channels: encoderStart ? new Array(4).fill(encoderStart.shape[0]) : [],
      num_encoder_blocks: encoderStart ? [1, 3, 3, 3] : [],
    };
  }
  return undefined;
}
