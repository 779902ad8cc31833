// A helper thread of the CPU engine in Node. tsx does not reach into workers by itself.
import { parentPort } from 'node:worker_threads';
import { register } from 'tsx/esm/api';

register();
const { serveThread } = await import('../../sdk/backends/wasm/thread.ts');
parentPort.once('message', (start) => serveThread(parentPort, start));
