import { SDError } from '../errors.ts';

/** A parsed `config.json`; unknown keys are ignored, as diffusers does. */
export type ConfigJson = Readonly<Record<string, unknown>>;

/** Reads a model's `config.json` key by key, with diffusers' class defaults for what is missing. */
export class ConfigReader {
  readonly #json: ConfigJson;
  readonly #model: string;

  /** @throws SDError `INVALID_MODEL` when the config is not an object. */
  constructor(json: unknown, model: string) {
    if (typeof json !== 'object' || json === null || Array.isArray(json))
      throw new SDError('INVALID_MODEL', `The config of the ${model} is not a JSON object.`);
    this.#json = json as ConfigJson;
    this.#model = model;
  }

  has(key: string): boolean {
    return this.#json[key] !== undefined && this.#json[key] !== null;
  }

  integer(key: string, fallback?: number): number {
    const value = this.#json[key] ?? fallback;
    if (!Number.isSafeInteger(value) || (value as number) < 0 || (value as number) > 1 << 20)
      throw this.fail(key, 'a whole number');
    return value as number;
  }

  number(key: string, fallback: number): number {
    const value = this.#json[key] ?? fallback;
    if (typeof value !== 'number' || !Number.isFinite(value)) throw this.fail(key, 'a number');
    return value;
  }

  boolean(key: string, fallback: boolean): boolean {
    const value = this.#json[key] ?? fallback;
    if (typeof value !== 'boolean') throw this.fail(key, 'true or false');
    return value;
  }

  string<T extends string>(key: string, known: readonly T[], fallback?: T): T {
    const value = this.#json[key] ?? fallback;
    if (!known.includes(value as T)) throw this.fail(key, `one of ${known.join(', ')}`);
    return value as T;
  }

  list<T extends string>(key: string, known: readonly T[], fallback: readonly T[]): readonly T[] {
    const value = this.#json[key] ?? fallback;
    if (!Array.isArray(value) || value.length === 0 || !value.every((v) => known.includes(v)))
      throw this.fail(key, `a list of ${known.join(', ')}`);
    return value as T[];
  }

  /** A list of whole numbers; one number stands for `count` equal ones. */
  integers(key: string, count: number | undefined, fallback: number | readonly number[]): number[] {
    const value = this.#json[key] ?? fallback;
    const list =
      typeof value === 'number' && count !== undefined ? new Array(count).fill(value) : value;
    const fits = Array.isArray(list) && (count === undefined || list.length === count);
    if (!fits || !list.every((n) => Number.isSafeInteger(n) && n > 0 && n <= 1 << 20))
      throw this.fail(key, `${count ?? 'a list of'} positive whole numbers`);
    return list as number[];
  }

  /**
   * Refuses features that are not built here, rather than computing something else.
   * @param built the values of each key that are, beside null and false
   */
  refuse(built: Readonly<Record<string, readonly unknown[]>>): void {
    for (const [key, allowed] of Object.entries(built)) {
      const value = this.#json[key];
      if ([undefined, null, false, ...allowed].includes(value)) continue;
      throw new SDError(
        'INVALID_MODEL',
        `The ${this.#model} uses ${key} = ${JSON.stringify(value)}, which is not supported.`,
      );
    }
  }

  fail(key: string, expected: string): SDError {
    return new SDError(
      'INVALID_MODEL',
      `The config of the ${this.#model} has ${key} = ${JSON.stringify(this.#json[key])}; expected ${expected}.`,
    );
  }
}
