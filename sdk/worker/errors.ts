import * as comlink from 'comlink';
import { SDError, isSDError, type SDErrorCode } from '../errors.ts';

interface WireError {
  readonly name: string;
  readonly message: string;
  readonly stack: string | undefined;
  readonly code: SDErrorCode | undefined;
  readonly retryable: boolean;
  readonly cause: WireError | string | undefined;
}

/** Causes of causes beyond this are dropped; a chain could be a ring. */
const DEEPEST_CAUSE = 8;

/** @returns plain data that any channel can carry */
function packError(error: unknown, depth = 0): WireError | string {
  if (!(error instanceof Error)) return String(error);
  return {
    name: error.name,
    message: error.message,
    stack: error.stack,
    code: isSDError(error) ? error.code : undefined,
    retryable: isSDError(error) && error.retryable,
    cause:
      error.cause === undefined || depth >= DEEPEST_CAUSE
        ? undefined
        : packError(error.cause, depth + 1),
  };
}

function unpackError(wire: WireError | string): unknown {
  if (typeof wire === 'string') return wire;
  const { name, message, stack, code, retryable } = wire;
  const cause = wire.cause === undefined ? undefined : unpackError(wire.cause);
  const error =
    code === undefined
      ? Object.assign(new Error(message, cause === undefined ? undefined : { cause }), { name })
      : new SDError(code, message, { cause, retryable });
  if (stack !== undefined) error.stack = stack;
  return error;
}

/** comlink's own, which alone knows the mark of a thrown value, and keeps its name, message and stack. */
const handler = (): comlink.TransferHandler<unknown, WireError | string> =>
  comlink.transferHandlers.get('throw') as never;

/** Lets errors leave with their code and cause. */
export function sendErrors(): void {
  handler().serialize = (thrown) => [packError((thrown as { value: unknown }).value), []];
}

/** Takes in the errors of the other side as they were. */
export function receiveErrors(): void {
  handler().deserialize = (wire) => {
    const error = unpackError(wire);
    if (isSDError(error)) throw error;
    throw new SDError('INTERNAL', `The worker failed: ${String(error)}`, { cause: error });
  };
}
