import { invalid } from '../checks.ts';
import { alignedSigmas } from './align-your-steps.ts';
import { ddim } from './ddim.ts';
import { ddpm } from './ddpm.ts';
import type { SamplerEntry } from './define.ts';
import { deis } from './deis.ts';
import { dpmMultistep } from './dpm-multistep.ts';
import { dpmSinglestep } from './dpm-singlestep.ts';
import { dpmSde } from './dpm-sde.ts';
import { euler } from './euler.ts';
import { eulerAncestral } from './euler-ancestral.ts';
import { heun } from './heun.ts';
import { kdpm2 } from './kdpm2.ts';
import { kdpm2Ancestral } from './kdpm2-ancestral.ts';
import { lcm } from './lcm.ts';
import { lms } from './lms.ts';
import { findByName, plain } from './names.ts';
import { pndm } from './pndm.ts';
import { tcd } from './tcd.ts';
import { unipc } from './unipc.ts';
import type { Sampler, Schedule, SchedulerConfig, StepOptions } from './sampler.ts';

export { ALIGNED_TIMESTEPS } from './align-your-steps.ts';
export type { Sampler, Schedule, SchedulerConfig, StepOptions, StepResult } from './sampler.ts';

/** Every sampler there is, the best known first. A new one is a file of its own and a line here. */
export const SAMPLERS: readonly SamplerEntry[] = [
  eulerAncestral,
  euler,
  lms,
  heun,
  kdpm2,
  kdpm2Ancestral,
  dpmMultistep,
  dpmSinglestep,
  dpmSde,
  unipc,
  deis,
  ddim,
  ddpm,
  pndm,
  lcm,
  tcd,
];

/** What {@link createSampler} accepts: names people know (a schedule may follow) and class names. */
export const samplerNames: readonly string[] = [
  ...SAMPLERS.flatMap(({ names }) => Object.keys(names)),
  ...SAMPLERS.map(({ className }) => className),
];

/**
 * Makes one run of a sampler.
 *
 * @param name one of {@link samplerNames} in any case, with a schedule after it if wanted:
 *   `'DPM++ 2M Karras'`, `'Euler a'`, `'DPMSolverMultistepScheduler'`, `'euler sgm_uniform'`
 * @param checkpoint the model's `scheduler_config.json`, of whatever class
 * @param schedule a number of steps, or custom timesteps or σ
 * @param overrides settings that win over the checkpoint's and the name's
 * @throws SDError INVALID_OPTION on a name, setting or schedule that cannot be
 */
export function createSampler(
  name: string,
  checkpoint: SchedulerConfig,
  schedule: number | Schedule,
  overrides: SchedulerConfig = {},
): Sampler {
  const { entry, settings, alignYourSteps } = findSampler(name);
  for (const setting of Object.keys(settings)) {
    if (!entry.settings.includes(setting)) {
      throw invalid(`'${name}' cannot be: ${entry.className} has no setting '${setting}'.`);
    }
  }
  const plan = {
    ...(alignYourSteps && { alignYourSteps }),
    ...(typeof schedule === 'number' ? { steps: schedule } : schedule),
  };
  checkSchedule(entry, plan, checkpoint, overrides);
  return entry.create(checkpoint, { ...settings, ...overrides }, laidOut(plan));
}

/**
 * The options of a step that this sampler knows, for refusing the others ("eta where it is not
 * taken") before any work.
 * @throws SDError INVALID_OPTION on an unknown name
 */
export function stepOptionsOf(name: string): readonly (keyof StepOptions)[] {
  return findSampler(name).entry.stepOptions;
}

function findSampler(name: string) {
  const found = findByName(SAMPLERS, name);
  if (!found) {
    throw invalid(`There is no sampler '${name}'. Did you mean ${nearest(name).join(', ')}?`);
  }
  return found;
}

function checkSchedule(
  entry: SamplerEntry,
  schedule: Schedule,
  checkpoint: SchedulerConfig,
  overrides: SchedulerConfig,
): void {
  const given = (['steps', 'timesteps', 'sigmas'] as const).filter(
    (key) => schedule[key] !== undefined,
  );
  if (given.length > 1) throw invalid('Give one of steps, timesteps and sigmas.');
  if (schedule.alignYourSteps && !entry.takes.includes('sigmas')) {
    throw invalid(`${entry.className} cannot follow Align Your Steps: it does not work in sigmas.`);
  }
  for (const kind of ['timesteps', 'sigmas'] as const) {
    if (schedule[kind] && !entry.takes.includes(kind)) {
      throw invalid(`${entry.className} does not take custom ${kind}.`);
    }
  }
  const train = Number(overrides.num_train_timesteps ?? checkpoint.num_train_timesteps ?? 1000);
  const { steps, timesteps, sigmas } = schedule;
  if (timesteps && !(descends(timesteps) && timesteps[0] < train)) {
    throw invalid(`Custom timesteps must descend and lie in 0 … ${train - 1}.`);
  }
  if (sigmas && !(descends(sigmas) && sigmas.length > 1)) {
    throw invalid('Custom sigmas must descend and end with the final one, mostly 0.');
  }
  if (timesteps || sigmas) return;
  if (steps === undefined || !Number.isInteger(steps) || steps < 1 || steps > train) {
    throw invalid(`Steps must be a whole number from 1 to ${train}, but are ${steps}.`);
  }
}

/** Non-empty, without a negative, and falling strictly. */
function descends(values: readonly number[]): boolean {
  return values.length > 0 && values.every((v, i) => v >= 0 && (i === 0 || v < values[i - 1]));
}

/** Align Your Steps as the σ it stands for. */
function laidOut({ alignYourSteps, ...schedule }: Schedule): Schedule {
  if (!alignYourSteps || !schedule.steps) return schedule;
  return { sigmas: alignedSigmas(alignYourSteps, schedule.steps) };
}

/** The three known names with the fewest edits from `name`. */
function nearest(name: string): readonly string[] {
  const wanted = plain(name);
  return samplerNames
    .map((known) => ({ known, distance: editDistance(wanted, plain(known)) }))
    .sort((a, b) => a.distance - b.distance)
    .slice(0, 3)
    .map(({ known }) => known);
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, row[j] + 1, next[j - 1] + 1));
    }
    row = next;
  }
  return row[b.length];
}
