import * as formats from '../../formats/index.ts';
import type { LoadFormats } from '../../weights/formats.ts';

/** The module, which came with the worker. */
export const formatsAt = (): LoadFormats => async () => formats;
