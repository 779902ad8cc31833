import type { Detected, Family } from './detect.ts';

/** A config as diffusers writes it to a `.json` file. */
export type Config = Readonly<Record<string, unknown>>;

/** All that a diffusers folder says in its small files. */
export interface ModelConfigs {
  readonly modelIndex: Config;
  readonly unet: Config;
  readonly vae: Config;
  /** One, or two for SDXL; of the refiner the second alone. */
  readonly textEncoders: ReadonlyMap<'text_encoder' | 'text_encoder_2', Config>;
  readonly scheduler: Config;
  readonly tokenizers: ReadonlyMap<'tokenizer' | 'tokenizer_2', Config>;
}

/**
 * The configs of the published models, for checkpoints that are one file, without what is diffusers' or
 * transformers' default: SD 1's UNet is hardly more. Source: the model cards' repositories (spec
 * sections 1.1, 2.1, 3.1 and 4.2).
 */
export function builtInConfigs(detected: Detected): ModelConfigs {
  const { family, inChannels, predictionType } = detected;
  const parts = FAMILIES[family];
  const isXL = family === 'sdxl' || family === 'sdxl-refiner';
  return {
    modelIndex: { force_zeros_for_empty_prompt: family === 'sdxl' },
    unet: {
      ...parts.unet,
      in_channels: inChannels,
      ...(family === 'sd2' && predictionType === 'v_prediction' ? { sample_size: 96 } : {}),
    },
    vae: isXL ? { ...VAE, sample_size: 1024, scaling_factor: 0.13025 } : VAE,
    textEncoders: parts.textEncoders,
    scheduler: {
      ...SCHEDULER,
      ...parts.scheduler,
      prediction_type: predictionType,
      ...(detected.zeroTerminalSnr
        ? { rescale_betas_zero_snr: true, timestep_spacing: 'trailing' }
        : {}),
    },
    tokenizers: parts.tokenizers,
  };
}

const SDXL_UNET: Config = {
  sample_size: 128,
  block_out_channels: [320, 640, 1280],
  down_block_types: ['DownBlock2D', 'CrossAttnDownBlock2D', 'CrossAttnDownBlock2D'],
  up_block_types: ['CrossAttnUpBlock2D', 'CrossAttnUpBlock2D', 'UpBlock2D'],
  attention_head_dim: [5, 10, 20],
  cross_attention_dim: 2048,
  transformer_layers_per_block: [1, 2, 10],
  use_linear_projection: true,
  addition_embed_type: 'text_time',
  addition_time_embed_dim: 256,
  projection_class_embeddings_input_dim: 2816,
};

const REFINER_UNET: Config = {
  ...SDXL_UNET,
  block_out_channels: [384, 768, 1536, 1536],
  down_block_types: ['DownBlock2D', 'CrossAttnDownBlock2D', 'CrossAttnDownBlock2D', 'DownBlock2D'],
  up_block_types: ['UpBlock2D', 'CrossAttnUpBlock2D', 'CrossAttnUpBlock2D', 'UpBlock2D'],
  attention_head_dim: [6, 12, 24, 24],
  cross_attention_dim: 1280,
  transformer_layers_per_block: 4,
  projection_class_embeddings_input_dim: 2560,
};

const VAE: Config = {
  block_out_channels: [128, 256, 512, 512],
  layers_per_block: 2,
  sample_size: 512,
};

/** With the end token as the published configs have it: not the true one, which pooling depends on. */
const clip = (width: number, layers: number, activation: string): Config => ({
  eos_token_id: 2,
  hidden_act: activation,
  hidden_size: width,
  intermediate_size: 4 * width,
  num_attention_heads: width / 64,
  num_hidden_layers: layers,
});
const CLIP_L = clip(768, 12, 'quick_gelu');
const OPEN_CLIP_H = clip(1024, 23, 'gelu');
const OPEN_CLIP_BIG_G: Config = { ...clip(1280, 32, 'gelu'), projection_dim: 1280 };

const TOKENIZER: Config = {};
/** OpenCLIP pads with id 0, which is "!". */
const OPEN_TOKENIZER: Config = { pad_token: '!' };

const SCHEDULER: Config = {
  beta_start: 0.00085,
  beta_end: 0.012,
  beta_schedule: 'scaled_linear',
  set_alpha_to_one: false,
  skip_prk_steps: true,
  steps_offset: 1,
  clip_sample: false,
};
const SDXL_SCHEDULER: Config = {
  _class_name: 'EulerDiscreteScheduler',
  timestep_spacing: 'leading',
};

const FAMILIES: Readonly<
  Record<Family, Pick<ModelConfigs, 'unet' | 'textEncoders' | 'scheduler' | 'tokenizers'>>
> = {
  sd1: {
    unet: { cross_attention_dim: 768 },
    scheduler: { _class_name: 'PNDMScheduler' },
    textEncoders: new Map([['text_encoder', CLIP_L]]),
    tokenizers: new Map([['tokenizer', TOKENIZER]]),
  },
  sd2: {
    unet: {
      attention_head_dim: [5, 10, 20, 20],
      cross_attention_dim: 1024,
      use_linear_projection: true,
    },
    scheduler: { _class_name: 'DDIMScheduler' },
    textEncoders: new Map([['text_encoder', OPEN_CLIP_H]]),
    tokenizers: new Map([['tokenizer', OPEN_TOKENIZER]]),
  },
  sdxl: {
    unet: SDXL_UNET,
    scheduler: SDXL_SCHEDULER,
    textEncoders: new Map([
      ['text_encoder', CLIP_L],
      ['text_encoder_2', OPEN_CLIP_BIG_G],
    ]),
    tokenizers: new Map([
      ['tokenizer', TOKENIZER],
      ['tokenizer_2', OPEN_TOKENIZER],
    ]),
  },
  'sdxl-refiner': {
    unet: REFINER_UNET,
    scheduler: SDXL_SCHEDULER,
    textEncoders: new Map([['text_encoder_2', OPEN_CLIP_BIG_G]]),
    tokenizers: new Map([['tokenizer_2', OPEN_TOKENIZER]]),
  },
};
