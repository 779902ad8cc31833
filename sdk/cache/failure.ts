/**
 * What a failed storage operation means.
 * - `transient`: a lost connection or a passing fault; the same operation may succeed.
 * - `quota`: there is no room.
 * - `unreadable`: this record's bytes are gone or damaged; others may be well.
 * - `unavailable`: no storage in this session (private mode, opaque origin, a newer schema).
 */
export type FailureKind = 'transient' | 'quota' | 'unreadable' | 'unavailable';

/**
 * Browsers differ in messages and leave some of them empty, so only names count. idb-keyval rejects
 * with `null` where a transaction was aborted by force.
 */
export function failureKind(error: unknown): FailureKind {
  const name = (error as { name?: unknown } | null)?.name;
  switch (name) {
    case 'QuotaExceededError':
      return 'quota';
    // Chromium: a large value's file is missing or short.
    case 'NotReadableError':
    case 'NotFoundError':
    case 'DataError':
    case 'DataCloneError':
      return 'unreadable';
    case 'SecurityError':
    case 'VersionError':
    case 'NotSupportedError':
    case 'ReferenceError':
    case 'TypeError':
      return 'unavailable';
    default:
      return 'transient';
  }
}
