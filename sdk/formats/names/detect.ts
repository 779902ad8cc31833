import { SDError } from '../../errors.ts';
import type { TensorReader } from '../../weights/tensor.ts';

/** Families of models that are built here. */
export type Family = 'sd1' | 'sd2' | 'sdxl' | 'sdxl-refiner';
export type PredictionType = 'epsilon' | 'v_prediction';

export interface Detected {
  readonly family: Family;
  /** 4; 9 for inpainting, 8 for InstructPix2Pix, 5 for depth. */
  readonly inChannels: number;
  readonly predictionType: PredictionType;
  /** SDXL files that were trained with a terminal signal-to-noise ratio of zero say so. */
  readonly zeroTerminalSnr: boolean;
}

const UNET = 'model.diffusion_model.';
/** Tensors that give other models away, and what these are. */
const OTHERS: readonly [RegExp, string][] = [
  [/(^|\.)double_blocks\.\d+\./, 'a Flux model'],
  [/(^|\.)joint_blocks\.\d+\./, 'a Stable Diffusion 3 model'],
  [/^control_model\./, 'a ControlNet'],
  [/^lora_(unet|te\d?)_|\.lora_(up|down|A|B)\./, 'a LoRA: pass it as `loras`'],
  [/^edm_(mean|std)$/, 'Playground 2.5, whose noise schedule (EDM) is not built here'],
  [/^clip_txt_mapper\./, 'a Stable Cascade model'],
  [/^model\.diffusion_model\.label_emb\.weight$/, 'the x4 upscaler'],
  [/(^|\.)motion_modules\./, 'an AnimateDiff motion module'],
];

/**
 * What a single-file checkpoint is, from its tensor names. Follows diffusers'
 * `infer_diffusers_model_type`.
 *
 * SD 2.x files do not say what they predict: v, unless the checkpoint counts the 875 000 steps of
 * the base model (safetensors files do not carry the count: overrule it there).
 *
 * @throws SDError UNSUPPORTED_FORMAT for other models, by name.
 */
export function detectFamily(reader: TensorReader): Detected {
  for (const name of reader.names())
    for (const [pattern, what] of OTHERS)
      if (pattern.test(name)) throw new SDError('UNSUPPORTED_FORMAT', `This file is ${what}.`);

  const inChannels = reader.info(`${UNET}input_blocks.0.0.weight`)?.shape[1];
  if (inChannels === undefined)
    throw new SDError(
      'UNSUPPORTED_FORMAT',
      'This file holds no Stable Diffusion UNet (no model.diffusion_model.input_blocks.0.0.weight). ' +
        'A part on its own goes in `parts`.',
    );
  const has = (name: string): boolean => reader.info(name) !== undefined;
  const family = familyOf(reader);
  const says = family === 'sdxl' && has('v_pred');
  const isV = family === 'sd2' ? reader.metadata?.get('global_step') !== '875000' : says;
  return {
    family,
    inChannels,
    predictionType: isV ? 'v_prediction' : 'epsilon',
    zeroTerminalSnr: family === 'sdxl' && has('ztsnr'),
  };
}

function familyOf(reader: TensorReader): Family {
  // SDXL begins with a level without attention, and is told the size of the picture.
  if (reader.info(`${UNET}label_emb.0.0.weight`)) {
    const context = contextDim(reader);
    return context === 1280 ? 'sdxl-refiner' : 'sdxl';
  }
  return contextDim(reader) === 1024 ? 'sd2' : 'sd1';
}

function contextDim(reader: TensorReader): number | undefined {
  for (const name of reader.names())
    if (name.startsWith(UNET) && name.endsWith('.transformer_blocks.0.attn2.to_k.weight'))
      return reader.info(name)!.shape[1];
  return undefined;
}
