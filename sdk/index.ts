export { SDError, isSDError, type SDErrorCode } from './errors.ts';
export { VERSION } from './version.ts';
