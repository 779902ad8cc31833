import { draw } from './draw.js';

globalThis.drawn = draw();
