import { BaseSampler, type BaseConfig } from './base.ts';
import { noiseSchedule, type BetaConfig } from './noise-schedule.ts';
import { levelOf, type Level } from './prediction.ts';

type AlphaConfig = BaseConfig & BetaConfig & { readonly set_alpha_to_one?: boolean };

/** A sampler in the terms of DDPM: what a timestep means is the ᾱ (`alphas_cumprod`) it has. */
export abstract class AlphaSampler<C extends AlphaConfig> extends BaseSampler<C> {
  protected readonly alphasCumprod: Float32Array;

  constructor(config: C, timesteps: readonly number[]) {
    super(config, timesteps);
    this.alphasCumprod = noiseSchedule(config).alphasCumprod;
  }

  levelAt(t: number): Level {
    return levelOf(this.alphasCumprod[t]);
  }

  /** ᾱ at `t`; below 0 the config says what the end is. */
  protected alphaProduct(t: number): number {
    return this.alphasCumprod[t] ?? (this.config.set_alpha_to_one ? 1 : this.alphasCumprod[0]);
  }
}
