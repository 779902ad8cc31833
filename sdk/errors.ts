/** Every failure of the SDK is an {@link SDError}; `code` is stable across releases. */
export type SDErrorCode =
  | 'ABORTED' // the caller's signal fired, or `dispose()` came in mid-run
  | 'DISPOSED' // the handle was used after `dispose()`
  | 'BUSY' // superseded by a newer call under `busy: 'abort'`
  | 'INVALID_OPTION' // an option is out of range, of the wrong type or unknown
  | 'INVALID_PROMPT' // the prompt is not well-formed text
  | 'INVALID_MODEL' // a config or a model folder does not describe a model we know
  | 'MISSING_FILE' // a model folder lacks a file it must have
  | 'INVALID_FILE' // a weight file breaks its own format
  | 'UNSUPPORTED_FORMAT' // a well-formed file of a kind that is not read here
  | 'WEIGHTS_MISMATCH' // tensors missing, of the wrong shape or dtype
  | 'NETWORK' // a request failed after its retries
  | 'INTEGRITY' // bytes differ from their SHA-256
  | 'STORAGE' // the browser's storage failed where memory cannot stand in
  | 'OUT_OF_MEMORY' // the model does not fit in the memory there is
  | 'BACKEND_UNAVAILABLE' // the asked-for engine cannot run here
  | 'DEVICE_LOST' // the GPU went away and did not come back
  | 'WORKER_FAILED' // the worker could not start, or died
  | 'INTERNAL'; // a bug of ours

const BRAND = 'stable-diffusion-web/error';

/**
 * The one error class. `message` says what happened and what to do; `cause` is what lay underneath.
 * Recognise it with {@link isSDError}, which holds across worker borders and duplicate bundles.
 */
export class SDError extends Error {
  override readonly name = 'SDError';
  readonly code: SDErrorCode;
  /** True when the same call may succeed later (network, storage, busy). */
  readonly retryable: boolean;
  readonly brand = BRAND;

  constructor(
    code: SDErrorCode,
    message: string,
    options: { cause?: unknown; retryable?: boolean } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.retryable = options.retryable ?? false;
  }
}

/** True for an {@link SDError} of any copy of this package, in any realm. */
export function isSDError(value: unknown): value is SDError {
  return value instanceof Error && (value as Partial<SDError>).brand === BRAND;
}
