import type { Server } from 'node:http';

/**
 * Listens on `port`, or on the next free one.
 * @param other the origin of another such server, for the page that shows a frame of another site
 */
export function listen(port: number, other?: string): Promise<Server>;
