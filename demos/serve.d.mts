import type { Server } from 'node:http';

/** Listens on `port`, or on the next free one. */
export function listen(port: number): Promise<Server>;
