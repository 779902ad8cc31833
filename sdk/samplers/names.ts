import type { SamplerEntry } from './define.ts';
import type { Schedule, SchedulerConfig } from './sampler.ts';

/** What a name stands for. */
interface Named {
  readonly entry: SamplerEntry;
  readonly settings: SchedulerConfig;
  readonly alignYourSteps?: Schedule['alignYourSteps'];
}

/** How σ are spaced, as written after a sampler's name. */
const SCHEDULES: Readonly<Record<string, Partial<Omit<Named, 'entry'>>>> = {
  karras: { settings: { use_karras_sigmas: true } },
  exponential: { settings: { use_exponential_sigmas: true } },
  beta: { settings: { use_beta_sigmas: true } },
  lu: { settings: { use_lu_lambdas: true } },
  'sgm uniform': { settings: { timestep_spacing: 'trailing' } },
  'ddim uniform': { settings: { timestep_spacing: 'leading' } },
  ays: { alignYourSteps: 'sd1' },
  'ays sdxl': { alignYourSteps: 'sdxl' },
};

/** What a name stands for among `samplers`: a known one, perhaps with a schedule after it, or a class. */
export function findByName(samplers: readonly SamplerEntry[], name: string): Named | undefined {
  const known = new Map<string, Named>();
  for (const entry of samplers) {
    known.set(plain(entry.className), { entry, settings: {} });
    for (const [own, settings] of Object.entries(entry.names))
      known.set(plain(own), { entry, settings });
  }
  const wanted = plain(name);
  const exact = known.get(wanted);
  if (exact) return exact;
  for (const [suffix, schedule] of Object.entries(SCHEDULES)) {
    if (!wanted.endsWith(` ${suffix}`)) continue;
    const base = known.get(wanted.slice(0, -suffix.length - 1));
    if (base) return { ...base, ...schedule, settings: { ...base.settings, ...schedule.settings } };
  }
  return undefined;
}

/** Case, underscores, runs of blanks and ComfyUI's spellings do not tell names apart. */
export function plain(name: string): string {
  return name
    .toLowerCase()
    .replace(/[\s_]+/g, ' ')
    .trim()
    .replace('dpmpp', 'dpm++')
    .replace('dpm 2', 'dpm2')
    .replace(' ancestral', ' a')
    .replace(/^uni pc( bh2)?/, 'unipc')
    .replace('align your steps', 'ays');
}
