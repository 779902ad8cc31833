import { invalid } from '../checks.ts';
import type { Schedule } from './sampler.ts';

interface DistilledConfig {
  readonly num_train_timesteps: number;
  readonly original_inference_steps: number;
}

/**
 * The timesteps of a model distilled for few steps (LCM, TCD): a selection from the
 * `original_inference_steps` it was distilled on, from the noisiest down.
 * @throws SDError INVALID_OPTION on more steps than those
 */
export function distilledTimesteps(
  config: DistilledConfig,
  { steps = 1, timesteps }: Schedule,
): readonly number[] {
  const { num_train_timesteps: train, original_inference_steps: original } = config;
  if (timesteps) return timesteps.map(Math.trunc);
  if (original < 1 || original > train || steps > original) {
    throw invalid(
      `${steps} steps cannot be chosen from ${original} original_inference_steps of ${train} training timesteps: use fewer steps.`,
    );
  }
  const stride = Math.floor(train / original);
  const descending = Array.from({ length: original }, (_, i) => (original - i) * stride - 1);
  return Array.from({ length: steps }, (_, i) => descending[Math.floor(i * (original / steps))]);
}
