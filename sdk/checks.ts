import { SDError } from './errors.ts';

// Checks of options that are plain values; all throw SDError INVALID_OPTION with a sentence.

export function number(
  value: unknown,
  name: string,
  low: number,
  high: number,
  standard: number,
): number {
  if (value === undefined) return standard;
  if (typeof value !== 'number' || !Number.isFinite(value) || value < low || value > high)
    throw invalid(`${name} must be ${range('a number', low, high)}, not ${show(value)}.`);
  return value;
}

export function integer(
  value: unknown,
  name: string,
  low: number,
  high: number,
  standard: number,
): number {
  if (value === undefined) return standard;
  if (!Number.isInteger(value) || (value as number) < low || (value as number) > high)
    throw invalid(`${name} must be ${range('an integer', low, high)}, not ${show(value)}.`);
  return value as number;
}

export function oneOf<T extends string | boolean>(
  value: unknown,
  name: string,
  all: readonly T[],
  standard: T,
): T {
  if (value === undefined) return standard;
  if (!all.includes(value as T))
    throw invalid(`${name} must be one of ${all.join(', ')}, not ${show(value)}.`);
  return value as T;
}

/** A list of finite numbers, copied. */
export function numbers(value: unknown, name: string): number[] | undefined {
  if (value === undefined) return undefined;
  const list = Array.isArray(value) || value instanceof Float32Array ? [...value] : [];
  if (list.length === 0 || !list.every((n) => Number.isFinite(n)))
    throw invalid(`${name} must be a list of finite numbers, not ${show(value)}.`);
  return list as number[];
}

export function boolean(value: unknown, name: string, standard: boolean): boolean {
  if (value === undefined) return standard;
  if (typeof value !== 'boolean')
    throw invalid(`${name} must be true or false, not ${show(value)}.`);
  return value;
}

/** A copy without prototypes or functions, so that it crosses to the worker. */
export function plainObject(value: unknown, name: string): Record<string, unknown> | undefined {
  if (value === undefined) return undefined;
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw invalid(`${name} must be an object, not ${show(value)}.`);
  try {
    return structuredClone(value) as Record<string, unknown>;
  } catch (cause) {
    throw new SDError('INVALID_OPTION', `${name} must hold plain values only.`, { cause });
  }
}

function range(kind: string, low: number, high: number): string {
  if (low === -Infinity && high === Infinity) return `a finite number`;
  return `${kind} from ${low} to ${high}`;
}

export function show(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value);
  if (typeof value === 'object' && value !== null)
    return Array.isArray(value) ? 'a list' : 'an object';
  return String(value);
}

export function invalid(message: string): SDError {
  return new SDError('INVALID_OPTION', message);
}
