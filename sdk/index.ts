export type { EmbeddingOption, LoraOption } from './adapters.ts';
export type { Availability } from './availability.ts';
export { SDError, isSDError, type SDErrorCode } from './errors.ts';
export { GeneratedImage, PixelImage, type ImageInput, type Picture } from './image.ts';
export type {
  Answer,
  AttentionInsight,
  GuidanceInsight,
  Inspection,
  ScheduleInfo,
  StepInsight,
  TokenCount,
} from './inspect.ts';
export type { ModelSource } from './location.ts';
export type {
  GenerateOptions,
  PreviewKind,
  PreviewState,
  PromptSyntax,
  RandomKind,
  SecondPass,
  Step,
  Upscaler,
} from './options.ts';
export type { DenoiseProgress, DownloadProgress, Progress } from './progress.ts';
export type { LoadOptions } from './load-options.ts';
export type { BusyPolicy } from './queue.ts';
export { StableDiffusion, type GenerateResult, type StreamItem } from './stable-diffusion.ts';
export type { StoredModels } from './stored-models.ts';
export { VERSION } from './version.ts';
export type { BackendChoice, Dtype, ModelInfo, PartName } from './worker/protocol.ts';
export type { WorkerSource } from './worker/spawn.ts';
