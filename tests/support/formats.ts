import * as module from '../../sdk/formats/index.ts';
import type { LoadFormats } from '../../sdk/weights/formats.ts';

/** What a worker imports from `dist/formats.js`, here imported plainly. */
export const formats: LoadFormats = async () => module;
