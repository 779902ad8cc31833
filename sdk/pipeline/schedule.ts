import type { ScheduleInfo } from '../inspect.ts';
import type { GenerateRequest } from '../options.ts';
import { createSampler } from '../samplers/index.ts';
import { betaDefaults, finiteNoiseSchedule } from '../samplers/noise-schedule.ts';
import type { SchedulerConfig } from '../samplers/sampler.ts';
import { ownSampler } from './pass.ts';

/** What of a request decides where the model is evaluated. */
export type ScheduleRequest = Pick<
  GenerateRequest,
  'sampler' | 'steps' | 'timesteps' | 'sigmas' | 'schedulerOptions'
>;

/**
 * The path that a whole run would take.
 * @param checkpoint the model's scheduler config
 * @throws SDError INVALID_OPTION for a sampler or schedule that cannot be
 */
export function scheduleOf(request: ScheduleRequest, checkpoint: SchedulerConfig): ScheduleInfo {
  const { steps, timesteps, sigmas, schedulerOptions } = request;
  const name = request.sampler ?? ownSampler(checkpoint);
  const plan = timesteps || sigmas ? { timesteps, sigmas } : { steps };
  const sampler = createSampler(name, checkpoint, plan, schedulerOptions);
  const config = { ...betaDefaults, ...checkpoint, ...schedulerOptions };
  return {
    timesteps: [...sampler.timesteps],
    sigmas: sampler.timesteps.map((t) => {
      const { alpha, sigma } = sampler.levelAt(t);
      return sigma / alpha;
    }),
    alphasCumprod: finiteNoiseSchedule(config).alphasCumprod,
  };
}
