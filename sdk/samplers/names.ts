import type { Schedule, SchedulerConfig } from './sampler.ts';

/** A name people know: the diffusers class behind it, and the settings it stands for. */
interface KnownName {
  readonly className: string;
  readonly settings?: SchedulerConfig;
  readonly alignYourSteps?: Schedule['alignYourSteps'];
}

const SDE = { algorithm_type: 'sde-dpmsolver++' };

/** The names of A1111 and of the papers, as people write them. */
export const KNOWN_NAMES: Readonly<Record<string, KnownName>> = {
  'Euler a': { className: 'EulerAncestralDiscreteScheduler' },
  Euler: { className: 'EulerDiscreteScheduler' },
  LMS: { className: 'LMSDiscreteScheduler' },
  Heun: { className: 'HeunDiscreteScheduler' },
  DPM2: { className: 'KDPM2DiscreteScheduler' },
  'DPM2 a': { className: 'KDPM2AncestralDiscreteScheduler' },
  'DPM++ 2M': { className: 'DPMSolverMultistepScheduler' },
  'DPM++ 2M SDE': { className: 'DPMSolverMultistepScheduler', settings: SDE },
  'DPM++ 2M SDE Heun': {
    className: 'DPMSolverMultistepScheduler',
    settings: { ...SDE, solver_type: 'heun' },
  },
  'DPM++ 3M': { className: 'DPMSolverMultistepScheduler', settings: { solver_order: 3 } },
  'DPM++ 3M SDE': {
    className: 'DPMSolverMultistepScheduler',
    settings: { ...SDE, solver_order: 3 },
  },
  'DPM++ 2S': { className: 'DPMSolverSinglestepScheduler' },
  'DPM++ SDE': { className: 'DPMSolverSDEScheduler' },
  UniPC: { className: 'UniPCMultistepScheduler' },
  DEIS: { className: 'DEISMultistepScheduler' },
  DDIM: { className: 'DDIMScheduler' },
  DDPM: { className: 'DDPMScheduler' },
  PNDM: { className: 'PNDMScheduler' },
  PLMS: { className: 'PNDMScheduler', settings: { skip_prk_steps: true } },
  LCM: { className: 'LCMScheduler' },
  TCD: { className: 'TCDScheduler' },
};

/** How σ are spaced, as written after a sampler's name. */
const SCHEDULES: Readonly<Record<string, Omit<KnownName, 'className'>>> = {
  karras: { settings: { use_karras_sigmas: true } },
  exponential: { settings: { use_exponential_sigmas: true } },
  beta: { settings: { use_beta_sigmas: true } },
  lu: { settings: { use_lu_lambdas: true } },
  'sgm uniform': { settings: { timestep_spacing: 'trailing' } },
  'ddim uniform': { settings: { timestep_spacing: 'leading' } },
  ays: { alignYourSteps: 'sd1' },
  'ays sdxl': { alignYourSteps: 'sdxl' },
};

const byPlainName = new Map(
  Object.entries(KNOWN_NAMES).map(([name, known]) => [plain(name), known]),
);

/** What a name stands for, or undefined: a known name, perhaps with a schedule after it. */
export function knownName(name: string): KnownName | undefined {
  const wanted = plain(name);
  const exact = byPlainName.get(wanted);
  if (exact) return exact;
  for (const [suffix, schedule] of Object.entries(SCHEDULES)) {
    if (!wanted.endsWith(` ${suffix}`)) continue;
    const base = byPlainName.get(wanted.slice(0, -suffix.length - 1));
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
