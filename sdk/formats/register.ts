import { FORMATS } from '../weights/formats.ts';
import * as formats from './index.ts';

// Parcel drops what a file exports that it meets as a URL, but not what the file does.
Object.assign(globalThis, { [FORMATS]: formats });
