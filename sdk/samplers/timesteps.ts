/** `numpy.linspace(start, stop, count)` in f64: the last value is `stop` exactly. */
export function linspace(start: number, stop: number, count: number): number[] {
  const step = (stop - start) / (count - 1);
  return Array.from({ length: count }, (_, i) =>
    i === count - 1 && count > 1 ? stop : count === 1 ? start : i * step + start,
  );
}

/** Python's `round` and NumPy's: halves go to the even neighbour. */
export function roundHalfEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest !== 0.5) return Math.round(value);
  return floor % 2 === 0 ? floor : floor + 1;
}

export interface SpacingConfig {
  readonly num_train_timesteps: number;
  readonly timestep_spacing: string;
  readonly steps_offset: number;
}

/**
 * `steps` timesteps in descending order, by the spacing of the config: "leading" starts every
 * stride (plus `steps_offset`), "trailing" ends it, "linspace" has both ends.
 */
export function spacedTimesteps(config: SpacingConfig, steps: number): number[] {
  return fractionalTimesteps(config, steps).map(roundHalfEven);
}

/** The same where "linspace" keeps its fractions: for samplers that work in σ. */
export function fractionalTimesteps(config: SpacingConfig, steps: number): number[] {
  const train = config.num_train_timesteps;
  switch (config.timestep_spacing) {
    case 'linspace':
      return linspace(0, train - 1, steps).reverse();
    case 'leading': {
      const stride = Math.floor(train / steps);
      return Array.from(
        { length: steps },
        (_, i) => (steps - 1 - i) * stride + config.steps_offset,
      );
    }
    default:
      return trailingTimesteps(train, train / steps);
  }
}

/** `numpy.arange(from, 0, −stride)` rounded, less one. */
export function trailingTimesteps(from: number, stride: number): number[] {
  const count = Math.ceil(from / stride);
  // NumPy steps by the difference of the first two values, whose rounding decides the halves.
  const delta = from - stride - from;
  return Array.from({ length: count }, (_, i) => roundHalfEven(from + i * delta) - 1);
}
