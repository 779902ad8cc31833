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
 * The configs of the published models, for checkpoints that are one file. Source: the model cards'
 * repositories (spec sections 1.1, 2.1, 3.1 and 4.2).
 */
export function builtInConfigs(detected: Detected): ModelConfigs {
  const { family, inChannels, predictionType } = detected;
  const parts = FAMILIES[family];
  const isXL = family === 'sdxl' || family === 'sdxl-refiner';
  const inpaint = inChannels === 9;
  const isV = predictionType === 'v_prediction';
  return {
    modelIndex: {
      _class_name: `StableDiffusion${isXL ? 'XL' : ''}${inpaint ? 'Inpaint' : family === 'sdxl-refiner' ? 'Img2Img' : ''}Pipeline`,
      ...(isXL
        ? {
            force_zeros_for_empty_prompt: family === 'sdxl',
            requires_aesthetics_score: family === 'sdxl-refiner',
          }
        : {}),
    },
    unet: {
      ...UNET,
      ...parts.unet,
      in_channels: inChannels,
      ...(family === 'sd2' ? { sample_size: isV ? 96 : 64, upcast_attention: isV } : {}),
    },
    vae: isXL ? { ...VAE, sample_size: 1024, scaling_factor: 0.13025, force_upcast: true } : VAE,
    textEncoders: parts.textEncoders,
    scheduler: {
      ...(isXL ? SDXL_SCHEDULER : family === 'sd2' ? SD2_SCHEDULER : SD1_SCHEDULER),
      prediction_type: predictionType,
      ...(detected.zeroTerminalSnr
        ? { rescale_betas_zero_snr: true, timestep_spacing: 'trailing' }
        : {}),
    },
    tokenizers: parts.tokenizers,
  };
}

const UNET: Config = {
  _class_name: 'UNet2DConditionModel',
  act_fn: 'silu',
  block_out_channels: [320, 640, 1280, 1280],
  center_input_sample: false,
  down_block_types: [
    'CrossAttnDownBlock2D',
    'CrossAttnDownBlock2D',
    'CrossAttnDownBlock2D',
    'DownBlock2D',
  ],
  downsample_padding: 1,
  flip_sin_to_cos: true,
  freq_shift: 0,
  layers_per_block: 2,
  mid_block_scale_factor: 1,
  norm_eps: 1e-5,
  norm_num_groups: 32,
  out_channels: 4,
  sample_size: 64,
  up_block_types: ['UpBlock2D', 'CrossAttnUpBlock2D', 'CrossAttnUpBlock2D', 'CrossAttnUpBlock2D'],
};

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
  _class_name: 'AutoencoderKL',
  act_fn: 'silu',
  block_out_channels: [128, 256, 512, 512],
  down_block_types: new Array(4).fill('DownEncoderBlock2D'),
  in_channels: 3,
  latent_channels: 4,
  layers_per_block: 2,
  norm_num_groups: 32,
  out_channels: 3,
  sample_size: 512,
  scaling_factor: 0.18215,
  up_block_types: new Array(4).fill('UpDecoderBlock2D'),
};

/** Token ids as the published configs have them: not the true ones, which pooling depends on. */
const TEXT: Config = {
  bos_token_id: 0,
  eos_token_id: 2,
  layer_norm_eps: 1e-5,
  max_position_embeddings: 77,
  pad_token_id: 1,
  vocab_size: 49408,
};
const CLIP_L: Config = {
  ...TEXT,
  architectures: ['CLIPTextModel'],
  hidden_act: 'quick_gelu',
  hidden_size: 768,
  intermediate_size: 3072,
  num_attention_heads: 12,
  num_hidden_layers: 12,
  projection_dim: 768,
};
const OPEN_CLIP_H: Config = {
  ...TEXT,
  architectures: ['CLIPTextModel'],
  hidden_act: 'gelu',
  hidden_size: 1024,
  intermediate_size: 4096,
  num_attention_heads: 16,
  num_hidden_layers: 23,
  projection_dim: 512,
};
const OPEN_CLIP_BIG_G: Config = {
  ...TEXT,
  architectures: ['CLIPTextModelWithProjection'],
  hidden_act: 'gelu',
  hidden_size: 1280,
  intermediate_size: 5120,
  num_attention_heads: 20,
  num_hidden_layers: 32,
  projection_dim: 1280,
};

const TOKENIZER: Config = {
  tokenizer_class: 'CLIPTokenizer',
  bos_token: '<|startoftext|>',
  eos_token: '<|endoftext|>',
  unk_token: '<|endoftext|>',
  pad_token: '<|endoftext|>',
  do_lower_case: true,
  model_max_length: 77,
};
/** OpenCLIP pads with id 0, which is "!". */
const OPEN_TOKENIZER: Config = { ...TOKENIZER, pad_token: '!' };

const SCHEDULER: Config = {
  beta_start: 0.00085,
  beta_end: 0.012,
  beta_schedule: 'scaled_linear',
  num_train_timesteps: 1000,
  set_alpha_to_one: false,
  skip_prk_steps: true,
  steps_offset: 1,
  trained_betas: null,
  clip_sample: false,
};
const SD1_SCHEDULER: Config = { ...SCHEDULER, _class_name: 'PNDMScheduler' };
const SD2_SCHEDULER: Config = { ...SCHEDULER, _class_name: 'DDIMScheduler' };
const SDXL_SCHEDULER: Config = {
  ...SCHEDULER,
  _class_name: 'EulerDiscreteScheduler',
  interpolation_type: 'linear',
  timestep_spacing: 'leading',
  use_karras_sigmas: false,
  sample_max_value: 1,
};

const FAMILIES: Readonly<
  Record<Family, Pick<ModelConfigs, 'unet' | 'textEncoders' | 'tokenizers'>>
> = {
  sd1: {
    unet: { attention_head_dim: 8, cross_attention_dim: 768 },
    textEncoders: new Map([['text_encoder', CLIP_L]]),
    tokenizers: new Map([['tokenizer', TOKENIZER]]),
  },
  sd2: {
    unet: {
      attention_head_dim: [5, 10, 20, 20],
      cross_attention_dim: 1024,
      use_linear_projection: true,
    },
    textEncoders: new Map([['text_encoder', OPEN_CLIP_H]]),
    tokenizers: new Map([['tokenizer', OPEN_TOKENIZER]]),
  },
  sdxl: {
    unet: SDXL_UNET,
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
    textEncoders: new Map([['text_encoder_2', OPEN_CLIP_BIG_G]]),
    tokenizers: new Map([['tokenizer_2', OPEN_TOKENIZER]]),
  },
};
