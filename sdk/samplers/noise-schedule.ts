import { invalid } from '../checks.ts';
import { fma32 } from '../random/float32.ts';
import { torchSqrt } from './torch-sqrt.ts';
import { f } from './tensor.ts';

/** The settings that every scheduler has, with the defaults most share. */
export const betaDefaults = {
  num_train_timesteps: 1000,
  beta_start: 0.0001,
  beta_end: 0.02,
  beta_schedule: 'linear',
  trained_betas: null as readonly number[] | null,
  prediction_type: 'epsilon',
};

/** The same with the settings of timesteps, which all but one have. */
export const scheduleDefaults = { ...betaDefaults, timestep_spacing: 'leading', steps_offset: 0 };

export type BetaConfig = Pick<
  typeof betaDefaults,
  'num_train_timesteps' | 'beta_start' | 'beta_end' | 'beta_schedule' | 'trained_betas'
> & { rescale_betas_zero_snr?: boolean };

/** β and ᾱ (`alphas_cumprod`) for each training timestep, with torch's f32 arithmetic. */
export interface NoiseSchedule {
  readonly betas: Float32Array;
  readonly alphasCumprod: Float32Array;
}

/** @throws SDError INVALID_OPTION on an unknown `beta_schedule` */
export function noiseSchedule(config: BetaConfig): NoiseSchedule {
  let betas = originalBetas(config);
  if (config.rescale_betas_zero_snr) betas = rescaleZeroTerminalSnr(betas);
  return { betas, alphasCumprod: cumulativeAlphas(betas) };
}

/**
 * The same for samplers that divide by √ᾱ: with a zero terminal SNR the last ᾱ is 2^-24, as
 * diffusers has it, so that the last σ is 4096 and not infinite.
 */
export function finiteNoiseSchedule(config: BetaConfig): NoiseSchedule {
  const schedule = noiseSchedule(config);
  if (config.rescale_betas_zero_snr)
    schedule.alphasCumprod[config.num_train_timesteps - 1] = 2 ** -24;
  return schedule;
}

function originalBetas(config: BetaConfig): Float32Array {
  const { num_train_timesteps: count, beta_start: start, beta_end: end } = config;
  if (config.trained_betas) return Float32Array.from(config.trained_betas);
  switch (config.beta_schedule) {
    case 'linear':
      return linspace32(start, end, count);
    case 'scaled_linear':
      return linspace32(Math.sqrt(start), Math.sqrt(end), count).map((root) => root * root);
    case 'squaredcos_cap_v2':
      return betasForAlphaBar(count, (t) => Math.cos((((t + 0.008) / 1.008) * Math.PI) / 2) ** 2);
    case 'exp':
      return betasForAlphaBar(count, (t) => Math.exp(t * -12));
    case 'laplace':
      return betasForAlphaBar(count, (t) => {
        const side = t <= 0.5 ? 1 : -1;
        const snr = Math.exp(-0.5 * side * Math.log(1 - 2 * Math.abs(0.5 - t) + 1e-6));
        return Math.sqrt(snr / (1 + snr));
      });
    case 'sigmoid':
      return linspace32(-6, 6, count).map((x) => {
        const sigmoid = f(1 / (1 + Math.exp(-x)));
        return f(sigmoid * f(end - start)) + f(start);
      });
    default:
      throw invalid(
        `Unknown beta_schedule '${config.beta_schedule}': use linear, scaled_linear, squaredcos_cap_v2, exp, laplace or sigmoid.`,
      );
  }
}

/** `torch.linspace` in f32 on the CPU: fused steps, mirrored at the middle. */
export function linspace32(start: number, end: number, count: number): Float32Array {
  const [first, last] = [f(start), f(end)];
  if (count === 1) return Float32Array.of(first);
  const step = f(f(last - first) / (count - 1));
  const half = Math.floor(count / 2);
  return Float32Array.from({ length: count }, (_, i) =>
    i < half ? fma32(step, i, first) : fma32(-step, count - 1 - i, last),
  );
}

function betasForAlphaBar(count: number, alphaBar: (t: number) => number): Float32Array {
  return Float32Array.from({ length: count }, (_, i) =>
    Math.min(1 - alphaBar((i + 1) / count) / alphaBar(i / count), 0.999),
  );
}

/** ᾱ: torch's `cumprod` keeps the running product in f64 and rounds what it stores. */
function cumulativeAlphas(betas: Float32Array): Float32Array {
  let product = 1;
  return betas.map((beta) => (product *= f(1 - beta)));
}

/** "Common Diffusion Noise Schedules and Sample Steps are Flawed", algorithm 1: ᾱ ends at 0. */
function rescaleZeroTerminalSnr(betas: Float32Array): Float32Array {
  const roots = cumulativeAlphas(betas).map(torchSqrt);
  const first = roots[0];
  const last = roots[roots.length - 1];
  const stretch = f(first / f(first - last));
  const alphasBar = roots.map((root) => f(f(root - last) * stretch) ** 2);
  return alphasBar.map((bar, i) => 1 - (i === 0 ? bar : f(bar / alphasBar[i - 1])));
}
