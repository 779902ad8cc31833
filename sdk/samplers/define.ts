import { invalid } from '../checks.ts';
import type { Sampler, Schedule, SchedulerConfig, StepOptions } from './sampler.ts';

type ConfigValue = string | number | boolean | null | readonly number[];
type Config = Readonly<Record<string, ConfigValue>>;

/** What a sampler's file says of it. */
interface Definition<C extends Config> {
  /** diffusers' class name. */
  readonly className: string;
  /** The names of A1111 and of the papers, as people write them, and the settings they stand for. */
  readonly names: Readonly<Record<string, SchedulerConfig>>;
  /** Every setting it has, with diffusers' default. */
  readonly defaults: C;
  /** The values a setting may take, where they differ from those of other samplers. */
  readonly choices?: Readonly<Partial<Record<keyof C, readonly (string | null)[]>>>;
  /** Values that other classes' configs have → what they mean here. */
  readonly translate?: Readonly<Partial<Record<keyof C, Readonly<Record<string, string>>>>>;
  /** Ways to lay out a run beyond a number of steps. */
  readonly takes?: readonly ('timesteps' | 'sigmas')[];
  /** The {@link StepOptions} that change what it does, beyond shape and generator. */
  readonly stepOptions?: readonly (keyof StepOptions)[];
  readonly create: (config: C, schedule: Schedule) => Sampler;
}

/** A sampler as the registry holds it. */
export interface SamplerEntry {
  readonly className: string;
  readonly names: Readonly<Record<string, SchedulerConfig>>;
  readonly settings: readonly string[];
  readonly takes: readonly ('timesteps' | 'sigmas')[];
  readonly stepOptions: readonly (keyof StepOptions)[];
  /**
   * Makes one run, with settings by the rule of diffusers' `from_config`: what the checkpoint's
   * config states and this sampler knows is carried over; everything else has this sampler's own
   * default, even where the checkpoint's sampler has another. `overrides` win.
   * @param checkpoint a `scheduler_config.json` of any class; keys this sampler lacks are ignored
   * @throws SDError INVALID_OPTION on an override it lacks, or a value it cannot take
   */
  create(checkpoint: SchedulerConfig, overrides: SchedulerConfig, schedule: Schedule): Sampler;
}

/** The settings whose values come from a list, where all samplers that have them agree on it. */
const CHOICES: Readonly<Record<string, readonly (string | null)[]>> = {
  prediction_type: ['epsilon', 'sample', 'v_prediction'],
  timestep_spacing: ['linspace', 'leading', 'trailing'],
  interpolation_type: ['linear', 'log_linear'],
  timestep_type: ['discrete', 'continuous'],
  final_sigmas_type: ['zero', 'sigma_min'],
};

const SIGMA_RULES = ['use_karras_sigmas', 'use_exponential_sigmas', 'use_beta_sigmas'];

/** Turns a sampler's definition into its entry. */
export function defineSampler<C extends Config>(definition: Definition<C>): SamplerEntry {
  return {
    className: definition.className,
    names: definition.names,
    settings: Object.keys(definition.defaults),
    takes: definition.takes ?? [],
    stepOptions: definition.stepOptions ?? [],
    create: (checkpoint, overrides, schedule) => {
      const config = fromConfig(definition, checkpoint, overrides);
      const customised = Boolean(schedule.timesteps ?? schedule.sigmas);
      if (customised && [...SIGMA_RULES, 'use_lu_lambdas'].some((rule) => config[rule])) {
        throw invalid(
          'Custom timesteps or sigmas exclude Karras, exponential, beta and Lu spacing.',
        );
      }
      return definition.create(config, schedule);
    },
  };
}

function fromConfig<C extends Config>(
  definition: Definition<C>,
  checkpoint: SchedulerConfig,
  overrides: SchedulerConfig,
): C {
  const config: Record<string, unknown> = { ...definition.defaults };
  // Kept by diffusers where a value was not stated but filled in by the class that held it.
  const filledIn = (checkpoint._use_default_values ?? []) as readonly string[];
  for (const [key, value] of Object.entries(checkpoint)) {
    if (key in definition.defaults && !filledIn.includes(key)) config[key] = value;
  }
  for (const [key, value] of Object.entries(overrides)) {
    if (!(key in definition.defaults)) {
      throw invalid(`${definition.className} has no setting '${key}'.`);
    }
    config[key] = value;
  }
  for (const key of Object.keys(definition.defaults)) {
    config[key] = checkedValue(definition, key, config[key]);
  }
  if (SIGMA_RULES.filter((rule) => config[rule]).length > 1) {
    throw invalid('Only one of Karras, exponential and beta sigmas can be used at a time.');
  }
  return config as C;
}

function checkedValue<C extends Config>(
  { className, defaults, choices, translate }: Definition<C>,
  key: string,
  value: unknown,
): unknown {
  const standard = defaults[key];
  if (value === null && typeof standard === 'boolean') return false;
  const translated = translate?.[key]?.[String(value)] ?? value;
  const allowed = choices?.[key] ?? CHOICES[key];
  if (allowed && !allowed.includes(translated as string | null)) {
    throw invalid(
      `${className} cannot take ${key} '${String(value)}': use ${allowed.join(' or ')}.`,
    );
  }
  if (!allowed && !fits(translated, standard)) {
    throw invalid(`${key} must be ${describe(standard)}, but is ${JSON.stringify(value)}.`);
  }
  return translated;
}

/** A default of null says nothing of the type: those settings are numbers or lists of numbers. */
function fits(value: unknown, standard: ConfigValue): boolean {
  if (standard === null && value === null) return true;
  const type = standard === null ? 'number' : typeof standard;
  const items = standard === null ? [value].flat() : [value];
  return items.every((item) => typeof item === type && !Number.isNaN(item));
}

function describe(standard: ConfigValue): string {
  if (standard === null) return 'a number, a list of numbers or null';
  return typeof standard === 'string' ? 'a name' : `a ${typeof standard}`;
}
