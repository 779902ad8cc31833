export * from './clip-text.ts';
export * from './unet.ts';
export * from './vae.ts';
export * from './taesd.ts';
export type { CrossAttention } from './blocks.ts';
export { ConfigReader, type ConfigJson } from './config.ts';
