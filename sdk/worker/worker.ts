import { VERSION } from '../version.ts';

postMessage({ sd: 'ready', version: VERSION });
