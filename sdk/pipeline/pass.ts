import { invalid } from '../checks.ts';
import { SDError } from '../errors.ts';
import { createSampler, stepOptionsOf } from '../samplers/index.ts';
import type { Sampler, SchedulerConfig } from '../samplers/sampler.ts';
import type { Job, LatentShape } from './request.ts';
import { beginIndex } from './start.ts';

/** A job with what follows from it: one walk from noise to latents. */
export interface Pass {
  readonly job: Job;
  readonly shape: LatentShape;
  readonly sampler: Sampler;
  /** Makes another sampler like it, at the run's start. */
  newSampler(): Sampler;
  /** What the model predicts: `epsilon`, `v_prediction` or `sample`. */
  readonly predictionType: string;
  /** First index into the sampler's timesteps. */
  readonly begin: number;
  /** How often the UNet is asked. */
  readonly calls: number;
}

/**
 * Lays out a pass.
 * @param checkpoint the model's scheduler config
 * @throws SDError `INVALID_OPTION` for a sampler or schedule that cannot be, `INVALID_MODEL`
 */
export function passOf(job: Job, shape: LatentShape, checkpoint: SchedulerConfig): Pass {
  const { timesteps, sigmas } = job;
  const name = job.sampler ?? ownSampler(checkpoint);
  if (job.eta > 0 && !stepOptionsOf(name).includes('eta'))
    throw invalid(`The sampler ${name} takes no eta: leave it out, or take DDIM or TCD.`);
  const custom = timesteps || sigmas;
  const schedule = custom ? { timesteps, sigmas } : { steps: job.steps };
  const create = (): Sampler => createSampler(name, checkpoint, schedule, job.schedulerOptions);
  const { timesteps: all, order } = create();
  const steps = custom ? all.length : job.steps;
  const begin = job.image ? beginIndex(steps, job.image.strength, order) : 0;
  const calls = all.length - begin;
  if (calls < 1)
    throw invalid(
      `strength ${job.image?.strength} of ${steps} steps leaves no step to run; raise one of the two.`,
    );
  const newSampler = (): Sampler => {
    const sampler = create();
    if (job.image) sampler.setBeginIndex(begin);
    return sampler;
  };
  const settings = { prediction_type: 'epsilon', ...checkpoint, ...job.schedulerOptions };
  const predictionType = String(settings.prediction_type);
  return { job, shape, sampler: newSampler(), newSampler, predictionType, begin, calls };
}

/** The sampler that the model was saved with. */
export function ownSampler({ _class_name: name }: SchedulerConfig): string {
  if (typeof name === 'string') return name;
  throw new SDError(
    'INVALID_MODEL',
    'scheduler_config.json names no class; say which `sampler` to use.',
  );
}
